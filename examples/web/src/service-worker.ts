/**
 * The service worker: keeps the files of the page at the first visit and serves them from then on, with the headers
 * that isolate the page, which a host of plain files does not send. Another build is another cache.
 */
import { type KeptFiles, pathWithin } from './kept-files.ts';

/** The parts of a service worker's scope that are used here; the standard library's types clash with those of pages. */
interface Scope {
  readonly registration: { readonly scope: string };
  readonly clients: { claim(): Promise<void> };
  addEventListener(type: 'install' | 'activate', listener: (event: Lasting) => void): void;
  addEventListener(type: 'fetch', listener: (event: Fetched) => void): void;
}
interface Lasting {
  waitUntil(work: Promise<unknown>): void;
}
interface Fetched extends Lasting {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}

const scope = self as unknown as Scope;
/** Put in by the build. */
declare const KEPT_FILES: KeptFiles;

const prefix = 'actionclip-page-';
const { digest, files } = KEPT_FILES;
const cacheName = prefix + digest;
const known = new Set(files);

scope.addEventListener('install', (event) => {
  event.waitUntil(caches.open(cacheName).then((cache) => cache.addAll(files)));
});

scope.addEventListener('activate', (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => names.filter((name) => name.startsWith(prefix) && name !== cacheName))
      .then((old) => Promise.all(old.map((name) => caches.delete(name))))
      .then(() => scope.clients.claim()),
  );
});

scope.addEventListener('fetch', (event) => {
  const { request } = event;
  const path = pathWithin(scope.registration.scope, request.url);
  if (request.method === 'GET' && path !== undefined && known.has(path)) event.respondWith(kept(path));
});

/** A file of the page; from the network where the browser has thrown the cache away. */
async function kept(path: string): Promise<Response> {
  const address = new URL(path, scope.registration.scope).href;
  const cache = await caches.open(cacheName);
  const response = (await cache.match(address)) ?? (await fetch(address));
  const headers = new Headers(response.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
  headers.set('Cross-Origin-Resource-Policy', 'same-origin');
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
