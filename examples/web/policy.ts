/**
 * What the page may load and run: its own files and nothing else. The engine makes its threads of blobs. It may connect
 * to the Hugging Face hub, for weights that a person names, and to the hosts of its storage, all of which are below hf.co.
 */

const directives: Readonly<Record<string, string>> = {
  'default-src': "'none'",
  'script-src': "'self' 'wasm-unsafe-eval'",
  'style-src': "'self'",
  'img-src': "'self' blob:",
  'media-src': 'blob:',
  'connect-src': "'self' https://huggingface.co https://*.hf.co",
  'worker-src': "'self' blob:",
  'base-uri': "'none'",
  'form-action': "'none'",
};

const written = (rows: Readonly<Record<string, string>>): string =>
  Object.entries(rows)
    .map(([name, value]) => `${name} ${value}`)
    .join('; ');

/** For the page's head, so that it holds on any host. */
export const pagePolicy = written(directives);

/** For a server's answers; a page cannot say of itself who may frame it. */
export const serverPolicy = written({ ...directives, 'frame-ancestors': "'none'" });
