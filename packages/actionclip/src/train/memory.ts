/** The memory of a run: of the process, and of the device that it trains on. */
import type { Device } from '@actionclip/tensor';

export interface MemoryUse {
  /** Bytes of the process that are in the machine's memory, those of its threads included. */
  readonly residentBytes: number;
  /** Bytes of tensors and workspace on the device; on a processor they are a part of the process. */
  readonly deviceBytes: number;
}

/** What is in use at the moment. */
export async function readMemory(device: Device): Promise<MemoryUse> {
  return { residentBytes: process.memoryUsage.rss(), deviceBytes: (await device.memory()).live };
}
