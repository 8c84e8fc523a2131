// Counts what is made on a GPUDevice, and what of it is still there, by wrapping the device's own methods.

export interface ObjectCounts {
  /** Buffers made and not destroyed, and their bytes. */
  readonly liveBuffers: number;
  readonly liveBytes: number;
  readonly buffers: number;
  readonly bindGroups: number;
  readonly pipelines: number;
  readonly modules: number;
  readonly submits: number;
  readonly writes: number;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Wraps `device`; the function that it returns tells the counts since then. */
export function countObjects(device: GPUDevice): () => ObjectCounts {
  const counts: Mutable<ObjectCounts> = {
    ...{ liveBuffers: 0, liveBytes: 0, buffers: 0, bindGroups: 0, pipelines: 0, modules: 0, submits: 0, writes: 0 },
  };
  const createBuffer = device.createBuffer.bind(device);
  device.createBuffer = (descriptor) => {
    const buffer = createBuffer(descriptor);
    counts.buffers++;
    counts.liveBuffers++;
    counts.liveBytes += descriptor.size;
    const destroy = buffer.destroy.bind(buffer);
    let destroyed = false;
    buffer.destroy = () => {
      if (!destroyed) {
        counts.liveBuffers--;
        counts.liveBytes -= descriptor.size;
      }
      destroyed = true;
      return destroy();
    };
    return buffer;
  };
  const count = <T extends object>(target: T, name: keyof T, counter: keyof ObjectCounts): void => {
    const original = (target[name] as (...args: unknown[]) => unknown).bind(target);
    Object.defineProperty(target, name, {
      configurable: true,
      value: (...args: unknown[]) => {
        counts[counter]++;
        return original(...args);
      },
    });
  };
  count(device, 'createBindGroup', 'bindGroups');
  count(device, 'createComputePipeline', 'pipelines');
  count(device, 'createComputePipelineAsync', 'pipelines');
  count(device, 'createShaderModule', 'modules');
  count(device.queue, 'submit', 'submits');
  count(device.queue, 'writeBuffer', 'writes');
  return () => ({ ...counts });
}

/** What was counted between two moments. */
export function between(before: ObjectCounts, after: ObjectCounts): ObjectCounts {
  const entries = Object.entries(after).map(([name, value]) => [name, value - before[name as keyof ObjectCounts]]);
  return Object.fromEntries(entries) as unknown as ObjectCounts;
}
