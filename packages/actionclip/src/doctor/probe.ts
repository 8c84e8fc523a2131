/**
 * What can only be known by loading native libraries: a program of its own (see probe-process.ts), because they write
 * to the standard error as they please, and a faulty driver may end the process.
 */
import {
  type AdapterSupport,
  automaticDevice,
  setDefaultDevice,
  tensor,
  type WasmSupport,
  wasmSupport,
  webgpuAdapters,
} from '@actionclip/tensor';
import { loadNodeAv } from '../data/video-node-av.ts';

/** What was found, or in a sentence why not. */
export type Found<Value> = { readonly value: Value } | { readonly problem: string };

export interface ProbeReport {
  readonly adapters: Found<readonly AdapterSupport[]>;
  readonly wasm: Found<WasmSupport>;
  /** The device that `auto` takes, after it has computed something right. */
  readonly automatic: Found<{ readonly device: string; readonly description: string; readonly reason: string }>;
  readonly nodeAv: Found<true>;
  readonly sharp: Found<true>;
}

async function found<Value>(look: () => Promise<Value>): Promise<Found<Value>> {
  try {
    return { value: await look() };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { problem: message.split('\n', 1)[0] ?? message };
  }
}

async function tryAutomaticDevice(): Promise<{ device: string; description: string; reason: string }> {
  const { device, reason } = await automaticDevice();
  setDefaultDevice(device);
  const product = tensor([1, 2, 3, 4])
    .reshape([2, 2])
    .matmul(tensor([5, 6, 7, 8]).reshape([2, 2]));
  const values = [...(await product.data())];
  if (values.join() !== '19,22,43,50') throw new Error(`${device.name} multiplies wrongly: ${values.join(', ')}`);
  const { description } = await device.backend();
  await device.close();
  return { device: device.name, description, reason };
}

const report: ProbeReport = {
  wasm: await found(wasmSupport),
  adapters: await found(webgpuAdapters),
  automatic: await found(tryAutomaticDevice),
  nodeAv: await found(async () => {
    const result = await loadNodeAv();
    if ('reason' in result) throw new Error(result.reason);
    return true as const;
  }),
  sharp: await found(async () => {
    await import('sharp');
    return true as const;
  }),
};
process.send?.(report, () => process.exit(0));
