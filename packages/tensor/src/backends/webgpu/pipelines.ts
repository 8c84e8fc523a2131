/** Compute pipelines, kept by the text of their shader: programs of equal structure share them. */
import { DeviceError } from '../../errors.ts';
import { computeStage } from './device.ts';
import type { Shader } from './wgsl.ts';

interface Layout {
  readonly bindings: GPUBindGroupLayout;
  readonly pipeline: GPUPipelineLayout;
}

/** Pipelines kept for programs to come; those of programs at hand live on with them. */
const pipelinesKept = 2048;

export class Pipelines {
  /** Pipelines made so far. */
  created = 0;
  private readonly device: GPUDevice;
  private readonly byCode = new Map<string, Promise<GPUComputePipeline>>();
  private readonly layouts = new Map<string, Layout>();

  constructor(device: GPUDevice) {
    this.device = device;
  }

  /** Whether the pipeline is there or on its way, so that getting it compiles nothing. */
  has(shader: Shader): boolean {
    return this.byCode.has(shader.code);
  }

  /** The shader's pipeline, compiled off this thread. Rejects with DeviceError where the device refuses it. */
  get(shader: Shader): Promise<GPUComputePipeline> {
    const { code } = shader;
    const known = this.byCode.get(code);
    if (known) {
      // The one asked for longest ago is the first of the map.
      this.byCode.delete(code);
      this.byCode.set(code, known);
      return known;
    }
    const made = this.compile(shader);
    this.created++;
    this.byCode.set(code, made);
    for (const oldest of this.byCode.keys()) {
      if (this.byCode.size <= pipelinesKept) break;
      this.byCode.delete(oldest);
    }
    made.catch(() => this.byCode.delete(code));
    return made;
  }

  /** The parameter block at binding 0, then the shader's buffers. */
  layout({ bindings }: Shader): Layout {
    const key = bindings.map(({ writable }) => (writable ? 'w' : 'r')).join('');
    let layout = this.layouts.get(key);
    if (!layout) {
      const entries: GPUBindGroupLayoutEntry[] = [
        { binding: 0, visibility: computeStage, buffer: { type: 'uniform' } },
        ...bindings.map(({ writable }, i) => ({
          binding: i + 1,
          visibility: computeStage,
          buffer: { type: writable ? ('storage' as const) : ('read-only-storage' as const) },
        })),
      ];
      const group = this.device.createBindGroupLayout({ entries });
      layout = { bindings: group, pipeline: this.device.createPipelineLayout({ bindGroupLayouts: [group] }) };
      this.layouts.set(key, layout);
    }
    return layout;
  }

  private async compile(shader: Shader): Promise<GPUComputePipeline> {
    const layout = this.layout(shader).pipeline;
    this.device.pushErrorScope('validation');
    const module = this.device.createShaderModule({ code: shader.code });
    const invalid = this.device.popErrorScope();
    try {
      const pipeline = this.device.createComputePipelineAsync({ layout, compute: { module, entryPoint: 'main' } });
      const [error, result] = await Promise.all([invalid, pipeline]);
      if (error) throw error;
      return result;
    } catch (error) {
      const reason = (await invalid)?.message ?? (error instanceof Error ? error.message : String(error));
      throw new DeviceError(`The device refuses the shader of the kernel '${shader.name}': ${reason}\n${shader.code}`);
    }
  }
}
