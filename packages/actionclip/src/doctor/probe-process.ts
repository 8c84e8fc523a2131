/** Runs the probe (probe.ts) in a process of its own and keeps its noise from the person. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ProbeReport } from './probe.ts';

/** Milliseconds after which the probe counts as hanging. */
const PATIENCE = 60_000;

/** What the probe found. Where it died or hung, that is the problem of everything that it looks at. */
export function probeInProcess(signal?: AbortSignal): Promise<ProbeReport> {
  const fromSources = import.meta.url.endsWith('.ts');
  const program = fileURLToPath(new URL(fromSources ? './probe.ts' : './probe.js', import.meta.url));
  const nodeArguments = fromSources ? ['--conditions=@actionclip/source', '--import', import.meta.resolve('tsx')] : [];
  const child = spawn(process.execPath, [...nodeArguments, program], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    ...(signal && { signal }),
  });
  return new Promise((resolve) => {
    let noise = '';
    let report: ProbeReport | undefined;
    const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE);
    child.stderr?.on('data', (text: Buffer) => {
      noise = (noise + text.toString()).slice(-4000);
    });
    child.on('message', (message) => {
      report = message as ProbeReport;
    });
    child.on('error', (error) => {
      noise += `\n${error.message}`;
    });
    child.on('close', (code, killed) => {
      clearTimeout(timer);
      const last = noise.trim().split('\n').at(-1) ?? '';
      resolve(report ?? nothingFound(`the test of the native libraries ended with ${killed ?? code}: ${last}`));
    });
  });
}

const nothingFound = (problem: string): ProbeReport => ({
  adapters: { problem },
  wasm: { problem },
  automatic: { problem },
  nodeAv: { problem },
  sharp: { problem },
});
