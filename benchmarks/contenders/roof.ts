/** What a WebGPU device can do at most, measured on it: memory copied, and multiply-adds that never leave registers. */
import type { Prepared } from '../harness/contender.ts';
import type { CopyWork, MultiplyAddWork } from '../harness/work.ts';

const [storage, copySource, copyTarget, uniform] = [0x80, 0x4, 0x8, 0x40];

/** Chains of dependent multiply-adds in each thread: enough of them to hide the latency of one. */
const chains = 8;
const workgroup = 256;

const copyShader = `
@group(0) @binding(0) var<storage, read> source: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> target_: array<vec4f>;
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let count = arrayLength(&source);
  for (var i = id.x; i < count; i += groups.x * ${workgroup}u) { target_[i] = source[i]; }
}`;

const names = Array.from({ length: chains }, (_, i) => `x${i}`);

/** The factor comes from a buffer, so that no compiler foresees the results; they are stored where they are not finite. */
const multiplyAddShader = `
@group(0) @binding(0) var<uniform> parameters: vec4f;
@group(0) @binding(1) var<storage, read_write> target_: array<vec4f>;
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let factor = vec4f(parameters.x);
  let term = vec4f(parameters.y);
  ${names.map((name, i) => `var ${name} = vec4f(f32(id.x) + ${i}.0);`).join('\n  ')}
  for (var i = 0u; i < u32(parameters.z); i++) {
    ${names.map((name) => `${name} = fma(${name}, factor, term);`).join('\n    ')}
  }
  let sum = ${names.join(' + ')};
  if (!(sum.x < 1e30)) { target_[id.x] = sum; }
}`;

/** The roof's kinds of work on a device. */
export function roof(device: GPUDevice): {
  copy: (work: CopyWork) => Promise<Prepared>;
  multiplyAdd: (work: MultiplyAddWork) => Promise<Prepared>;
} {
  const dispatch = (code: string, buffers: readonly GPUBuffer[], groups: number): Prepared => {
    const module = device.createShaderModule({ code });
    const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'main' } });
    const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
    const bindings = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
    return {
      run: async () => {
        const encoder = device.createCommandEncoder();
        const pass = encoder.beginComputePass();
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bindings);
        pass.dispatchWorkgroups(groups);
        pass.end();
        device.queue.submit([encoder.finish()]);
      },
    };
  };
  const buffer = (size: number, usage: number): GPUBuffer => device.createBuffer({ size, usage: usage | copyTarget });
  return {
    copy: async ({ bytes }) => {
      const [source, target] = [buffer(bytes, storage | copySource), buffer(bytes, storage)];
      return dispatch(copyShader, [source, target], Math.min(bytes / 16 / workgroup, 65_535));
    },
    multiplyAdd: async ({ threads, multiplyAdds }) => {
      const parameters = buffer(16, uniform);
      const steps = multiplyAdds / (4 * chains);
      device.queue.writeBuffer(parameters, 0, Float32Array.of(0.999, 0.5, steps, 0));
      return dispatch(multiplyAddShader, [parameters, buffer(16 * threads, storage)], threads / workgroup);
    },
  };
}
