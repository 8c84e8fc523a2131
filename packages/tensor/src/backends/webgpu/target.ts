/** What shaders may use on a device: its optional features and its sizes. */

/** One shape of matrices that a subgroup multiplies together: result [M, N] += left [M, K] · right [K, N]. */
export interface MatrixShape {
  readonly componentType: 'f32' | 'f16' | 'u32' | 'i32' | 'u8' | 'i8';
  readonly resultComponentType: 'f32' | 'f16' | 'u32' | 'i32';
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/**
 * How operations on subgroup matrices are written: in the current syntax, which counts elements of arrays of any type,
 * in the older one, which counts matrix components, or as functions over plain arrays.
 */
export type MatrixSyntax = 'elements' | 'components' | 'emulated';

export interface Target {
  /** Whether there are 16-bit floats, in storage and in arithmetic. */
  readonly f16: boolean;
  /** The sizes that subgroups may have, where there are subgroups. */
  readonly subgroups?: {
    readonly smallest: number;
    readonly largest: number;
    /** Whether a shader may choose among them. */
    readonly settable?: boolean;
  };
  /** Shapes of subgroup matrices; none where the device has none. */
  readonly matrices: readonly MatrixShape[];
  /** How their operations are written, where there are any. */
  readonly matrixSyntax?: MatrixSyntax;
  /** What products of f32 factors may become: three products of halves only where that was asked for. */
  readonly products?: 'split-half';
  /** Bytes of workgroup memory. */
  readonly workgroupBytes: number;
  /** Threads of a workgroup. */
  readonly workgroupThreads: number;
  /** The adapter computes on the processor: workgroup memory is memory like any other, and every barrier costs. */
  readonly processor?: true;
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

const subgroupSizeControl = 'subgroup-size-control' as GPUFeatureName;
const subgroupMatrices = 'chromium-experimental-subgroup-matrix' as GPUFeatureName;

/** The adapter's description as the extension for subgroup matrices widens it. */
interface MatrixInfo {
  readonly subgroupMatrixConfigs?: Iterable<MatrixShape>;
}

/** How a fragment of `type` is loaded, in each of the two syntaxes of devices. */
const loads: Readonly<Record<'elements' | 'components', (type: string, stride: number) => string>> = {
  elements: (type, stride) => `subgroupMatrixLoad<${type}, row_major>(&halves, 0, ${stride})`,
  components: (type, stride) => `subgroupMatrixLoad<${type}>(&halves, 0, false, ${stride})`,
};

/** The first of the two syntaxes in which `device` takes fragments of such a `shape`; undefined where it takes none. */
export async function probeMatrixSyntax(
  device: GPUDevice,
  { M, K }: Pick<MatrixShape, 'M' | 'K'>,
): Promise<MatrixSyntax | undefined> {
  for (const syntax of ['elements', 'components'] as const) {
    const code = [
      'enable f16;',
      'enable chromium_experimental_subgroup_matrix;',
      `var<workgroup> halves: array<f16, ${M * K}>;`,
      `fn probe() { let left = ${loads[syntax](`subgroup_matrix_left<f16, ${K}, ${M}>`, K)}; }`,
    ].join('\n');
    device.pushErrorScope('validation');
    device.createShaderModule({ code });
    if (!(await device.popErrorScope())) return syntax;
  }
  return undefined;
}

/** What `device`, made of an adapter with this `info`, offers. */
export async function targetOf(device: GPUDevice, info: GPUAdapterInfo): Promise<Target> {
  const { features, limits } = device;
  const configs = features.has(subgroupMatrices) ? ((info as MatrixInfo).subgroupMatrixConfigs ?? []) : [];
  const matrices = Array.from(configs, ({ componentType, resultComponentType, M, N, K }) => {
    return { componentType, resultComponentType, M, N, K };
  });
  const ofHalves = matrices.find(({ componentType }) => componentType === 'f16');
  const matrixSyntax = ofHalves && features.has('shader-f16') ? await probeMatrixSyntax(device, ofHalves) : undefined;
  const settable = features.has(subgroupSizeControl);
  return {
    f16: features.has('shader-f16'),
    ...(features.has('subgroups')
      ? { subgroups: { smallest: info.subgroupMinSize, largest: info.subgroupMaxSize, settable } }
      : {}),
    matrices,
    ...(matrixSyntax ? { matrixSyntax } : {}),
    workgroupBytes: limits.maxComputeWorkgroupStorageSize,
    workgroupThreads: limits.maxComputeInvocationsPerWorkgroup,
    buffers: limits.maxStorageBuffersPerShaderStage,
  };
}

/** Why products of factors of half precision are no faster than others on `target`, where that is so. */
export function slowHalves({ f16, matrices }: Target): { readonly slowHalves?: string } {
  if (!f16) return { slowHalves: 'the adapter has no shader-f16' };
  const multiplies = matrices.some((shape) => shape.componentType === 'f16' && shape.resultComponentType === 'f32');
  return multiplies ? {} : { slowHalves: 'the adapter has no subgroup matrices of f16' };
}
