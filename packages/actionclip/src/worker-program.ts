/** Files of ours that run in threads of their own, from JavaScript as it is published and from TypeScript sources. */

/** What `new Worker(url, { execArgv })` takes. */
export interface WorkerProgram {
  readonly url: URL;
  readonly execArgv: string[];
}

/**
 * The program `name` beside the module that asks. From TypeScript sources (tsx, vitest) a thread has to register tsx for
 * itself, as the hooks of the main thread, or the transforms of a test runner, do not reach it; nor does `--import tsx`
 * in a thread.
 * @param name Without its extension, relative to the asking module, such as `./loader-worker`.
 * @param asking `import.meta.url` of the asking module.
 */
export function workerProgram(name: string, asking: string): WorkerProgram {
  if (!asking.endsWith('.ts')) return { url: new URL(`${name}.js`, asking), execArgv: [] };
  const tsx = import.meta.resolve('tsx/esm/api');
  const program = new URL(`${name}.ts`, asking).href;
  const start = `import { register } from ${JSON.stringify(tsx)}; register(); await import(${JSON.stringify(program)});`;
  return {
    url: new URL(`data:text/javascript,${encodeURIComponent(start)}`),
    execArgv: ['--conditions=@actionclip/source'],
  };
}
