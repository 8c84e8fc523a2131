/** Has the browser keep the page, so that the next visit needs no network. */

/** Registers the service worker once the page has loaded, where the browser has such; without one nothing is lost. */
export function keepForOffline(): void {
  if (!('serviceWorker' in navigator)) return;
  const script = new URL('service-worker.js', document.baseURI);
  const register = (): void => {
    navigator.serviceWorker.register(script, { scope: './' }).catch((error: unknown) => {
      console.warn(`The page will need the network next time: ${String(error)}`);
    });
  };
  if (document.readyState === 'complete') register();
  else addEventListener('load', register, { once: true });
}
