/** What the service worker keeps. */

export interface KeptFiles {
  /** Of the contents: another build has another one. */
  readonly digest: string;
  /** Relative to the page's folder; './' is the page itself. */
  readonly files: string[];
}

/** The name of a file in the page's folder, by its address; './' for the page itself, undefined for anything else. */
export function pathWithin(folder: string, address: string): string | undefined {
  const [bare = ''] = address.split(/[?#]/);
  if (!bare.startsWith(folder)) return undefined;
  const path = bare.slice(folder.length);
  return path === '' || path === 'index.html' ? './' : path;
}
