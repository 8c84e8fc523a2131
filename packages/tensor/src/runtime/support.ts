/** What a machine has for computing, as plain data: for reports, not for choosing. Loads the backends' parts that know. */

/** A WebGPU adapter. */
export interface AdapterSupport {
  readonly description: string;
  /** Whether it computes on the processor. */
  readonly software: boolean;
  /** Those of its features that kernels have variants for. */
  readonly features: readonly string[];
  /** Bytes of the largest buffer that a kernel can be given. */
  readonly bufferBytes: number;
  /** Bytes that the threads of a workgroup share. */
  readonly workgroupBytes: number;
}

const REQUESTS: readonly GPURequestAdapterOptions[] = [
  { powerPreference: 'high-performance' },
  { powerPreference: 'low-power' },
  { forceFallbackAdapter: true },
];

/**
 * The adapters that WebGPU offers: the fast one first, then the one for long battery life and the one in software, where
 * they are others.
 * @throws DeviceError where there is no WebGPU
 */
export async function webgpuAdapters(): Promise<AdapterSupport[]> {
  const { describeAdapter, findGPU, isSoftware, wantedFeatures } = await import('../backends/webgpu/device.ts');
  const gpu = await findGPU();
  const found = new Map<string, AdapterSupport>();
  for (const request of REQUESTS) {
    const adapter = await gpu.requestAdapter(request);
    if (!adapter) continue;
    const description = describeAdapter(adapter);
    found.set(description, {
      description,
      software: isSoftware(adapter),
      features: wantedFeatures.filter((feature) => adapter.features.has(feature)),
      bufferBytes: Math.min(adapter.limits.maxBufferSize, adapter.limits.maxStorageBufferBindingSize),
      workgroupBytes: adapter.limits.maxComputeWorkgroupStorageSize,
    });
  }
  return [...found.values()];
}

/** What the wasm device computes with. */
export interface WasmSupport {
  readonly threads: number;
  /** Whether a product and a sum are one instruction. */
  readonly relaxedSimd: boolean;
  /** 256 where the engine joins vectors of 128 bits, on processors that have such. */
  readonly vectorBits: 128 | 256;
}

/** Sets the engine's flags as the wasm device does, for the whole process. */
export async function wasmSupport(): Promise<WasmSupport> {
  const { enableEngineFlags, hasRelaxedSimd, joinsVectors } = await import('../backends/wasm/engine.ts');
  const { availableThreads } = await import('../backends/wasm/threads.ts');
  await enableEngineFlags();
  return {
    threads: await availableThreads(),
    relaxedSimd: hasRelaxedSimd(),
    vectorBits: joinsVectors() ? 256 : 128,
  };
}
