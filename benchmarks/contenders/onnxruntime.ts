/** onnxruntime as WebAssembly (`onnxruntime-web`) and as native code (`onnxruntime-node`), through their common interface. */
import { type Abilities, type Engine, forwardOnly, type Prepared, unmeasured } from '../harness/contender.ts';
import { uniform } from '../harness/data.ts';
import { attentionModel, matmulModel, type OnnxModel, rowModel, towerModel } from './onnx/models.ts';

export type RuntimeName = 'onnxruntime-web' | 'onnxruntime-node';

interface OnnxTensor {
  readonly data: ArrayLike<number>;
  dispose(): void;
}

interface Session {
  readonly outputNames: readonly string[];
  run(feeds: Readonly<Record<string, OnnxTensor>>): Promise<Readonly<Record<string, OnnxTensor>>>;
}

/** What is used of both packages. */
interface Runtime {
  readonly env: { readonly versions: Readonly<Record<string, string>>; readonly wasm: { numThreads?: number } };
  readonly InferenceSession: { create(file: Uint8Array, options: object): Promise<Session> };
  readonly Tensor: new (type: 'float32', data: Float32Array, shape: readonly number[]) => OnnxTensor;
}

const providers: Readonly<Record<RuntimeName, string>> = { 'onnxruntime-web': 'wasm', 'onnxruntime-node': 'cpu' };

/** Loads the package; fails where it is not installed. */
export async function open(name: RuntimeName, threads: number): Promise<Engine> {
  const runtime = (await import(name)) as Runtime;
  if (name === 'onnxruntime-web') runtime.env.wasm.numThreads = threads;
  const options = {
    executionProviders: [providers[name]],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
  };
  const ready = async ({ file, inputs }: OnnxModel): Promise<Prepared> => {
    const session = await runtime.InferenceSession.create(file, options);
    const feeds = Object.fromEntries(
      inputs.map(({ name: input, shape }) => {
        const length = shape.reduce((a, b) => a * b, 1);
        return [input, new runtime.Tensor('float32', uniform(input, length), shape)];
      }),
    );
    const output = session.outputNames[0] as string;
    return {
      run: async () => (await session.run(feeds))[output]?.dispose(),
      result: async () => (await session.run(feeds))[output]?.data ?? [],
    };
  };
  const reason = 'it runs models forward only';
  const abilities: Abilities = {
    matmul: (work) => ready(matmulModel(work)),
    layerNorm: forwardOnly((work) => ready(rowModel(work)), reason),
    softmax: forwardOnly((work) => ready(rowModel(work)), reason),
    attention: forwardOnly((work) => ready(attentionModel(work)), reason),
    imageTower: (work) => ready(towerModel(work)),
    adamw: reason,
    trainingStep: reason,
    video: 'the growth of this engine alone is measured',
    copy: unmeasured,
    multiplyAdd: unmeasured,
  };
  return { description: `${name}, ${providers[name]}, ${threads} thread(s)`, abilities };
}
