// The smallest whole use of WebGPU, the same in Node and in a browser: upload, one compute pass, read back.

const SHADER = `
@group(0) @binding(0) var<storage, read_write> values: array<f32>;

@compute @workgroup_size(64)
fn square(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < arrayLength(&values)) {
    values[id.x] = values[id.x] * values[id.x];
  }
}`;

/** Squares at most 64 numbers in f32 on the adapter of `gpu`; throws where there is no adapter or the device reports an error. */
export async function squareOnDevice(gpu: GPU, numbers: readonly number[]): Promise<number[]> {
  const adapter = await gpu.requestAdapter();
  if (adapter === null) throw new Error('No WebGPU adapter, although the test set-up provides a software adapter.');
  const device = await adapter.requestDevice();
  device.pushErrorScope('validation');

  const size = numbers.length * Float32Array.BYTES_PER_ELEMENT;
  const values = device.createBuffer({
    size,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
  });
  const staging = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(values, 0, new Float32Array(numbers));

  const pipeline = device.createComputePipeline({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code: SHADER }), entryPoint: 'square' },
  });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [{ binding: 0, resource: { buffer: values } }],
    }),
  );
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(values, 0, staging, 0, size);
  device.queue.submit([encoder.finish()]);

  const error = await device.popErrorScope();
  if (error !== null) throw new Error(`The device reports: ${error.message}`);
  await staging.mapAsync(GPUMapMode.READ);
  const squares = Array.from(new Float32Array(staging.getMappedRange()));
  staging.unmap();
  device.destroy();
  return squares;
}
