/** What shaders may use on a device: its optional features and its sizes. */

/** One shape of matrices that a subgroup multiplies together: result [M, N] += left [M, K] · right [K, N]. */
export interface MatrixShape {
  readonly componentType: 'f32' | 'f16' | 'u32' | 'i32' | 'u8' | 'i8';
  readonly resultComponentType: 'f32' | 'f16' | 'u32' | 'i32';
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

export interface Target {
  /** Whether there are 16-bit floats, in storage and in arithmetic. */
  readonly f16: boolean;
  /** The sizes that subgroups may have, where there are subgroups. */
  readonly subgroups?: { readonly smallest: number; readonly largest: number };
  /** Shapes of subgroup matrices; none where the device has none. */
  readonly matrices: readonly MatrixShape[];
  /** Bytes of workgroup memory. */
  readonly workgroupBytes: number;
  /** Threads of a workgroup. */
  readonly workgroupThreads: number;
  /** Storage buffers that one shader may bind. */
  readonly buffers: number;
}

/** What every WebGPU device offers. */
export const baseTarget: Target = {
  f16: false,
  matrices: [],
  workgroupBytes: 16_384,
  workgroupThreads: 256,
  buffers: 8,
};

const subgroupMatrices = 'chromium-experimental-subgroup-matrix' as GPUFeatureName;

/** The adapter's description as the extension for subgroup matrices widens it. */
interface MatrixInfo {
  readonly subgroupMatrixConfigs?: Iterable<MatrixShape>;
}

/** What `device`, made of an adapter with this `info`, offers. */
export function targetOf(device: GPUDevice, info: GPUAdapterInfo): Target {
  const { features, limits } = device;
  const configs = features.has(subgroupMatrices) ? ((info as MatrixInfo).subgroupMatrixConfigs ?? []) : [];
  return {
    f16: features.has('shader-f16'),
    ...(features.has('subgroups')
      ? { subgroups: { smallest: info.subgroupMinSize, largest: info.subgroupMaxSize } }
      : {}),
    matrices: Array.from(configs, ({ componentType, resultComponentType, M, N, K }) => {
      return { componentType, resultComponentType, M, N, K };
    }),
    workgroupBytes: limits.maxComputeWorkgroupStorageSize,
    workgroupThreads: limits.maxComputeInvocationsPerWorkgroup,
    buffers: limits.maxStorageBuffersPerShaderStage,
  };
}
