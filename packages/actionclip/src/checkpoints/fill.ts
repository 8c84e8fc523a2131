/** A checkpoint's values into a model: from the file to the device, piece by piece. Runs in browsers. */
import { elementCount, type HostArray, type StreamedValue, toFloat32, writeFloat32 } from '@actionclip/tensor';
import type { ActionCLIP } from '../model/action-clip.ts';
import type { CheckpointContents } from './contents.ts';
import { type Fit, type MatchedNames, type MatchOptions, matchNames } from './match.ts';
import { PIECE_BYTES, type StoredTensor } from './stored-tensor.ts';

/** Memory that pieces of tensors pass through, again and again: one for each tensor that is being read. */
class Staging {
  readonly #free: Uint8Array[] = [];

  /** The pieces of a tensor in its own dtype, each valid until the next one is asked for. */
  async *pieces(tensor: StoredTensor): AsyncIterable<HostArray> {
    const memory = this.#free.pop() ?? new Uint8Array(PIECE_BYTES);
    yield* tensor.pieces(memory);
    this.#free.push(memory);
  }
}

/**
 * Gives a model the values of a checkpoint. Those that the file does not have stay as they are.
 * @param wanted Which parameters of the model are to be replaced; all if absent.
 * @throws CheckpointError where the checkpoint does not fit; then nothing has been changed.
 */
export async function fillModel(
  model: ActionCLIP,
  contents: CheckpointContents,
  options: MatchOptions = {},
  wanted: (name: string) => boolean = () => true,
): Promise<MatchedNames> {
  const expected = new Map([...model.namedParameters()].map(([name, { shape }]) => [name, shape] as const));
  const matched = matchNames(expected, contents, { frames: model.frames, ...options });
  const staging = new Staging();
  const values = new Map<string, StreamedValue>();
  for (const [name, fitting] of matched.fits) {
    const tensor = contents.tensors.get(name);
    if (tensor && wanted(name)) values.set(name, streamed(tensor, expected.get(name) ?? [], fitting, staging));
  }
  await model.streamParameters(values);
  return matched;
}

function streamed(tensor: StoredTensor, shape: readonly number[], fitting: Fit, staging: Staging): StreamedValue {
  if (fitting !== 'as it is') {
    return {
      shape,
      async *pieces() {
        yield toFloat32(fitting(toFloat32(await tensor.read()))).data;
      },
    };
  }
  const { dtype, readInto } = tensor;
  const convertInto = async (memory: Uint8Array): Promise<void> => {
    const floats = new Float32Array(memory.buffer, memory.byteOffset, elementCount(shape));
    let done = 0;
    for await (const piece of staging.pieces(tensor)) {
      writeFloat32(dtype, piece, floats.subarray(done, done + piece.length));
      done += piece.length;
    }
  };
  return {
    shape,
    readInto: dtype === 'f32' && readInto !== undefined ? readInto : convertInto,
    async *pieces() {
      for await (const data of staging.pieces(tensor)) yield toFloat32({ dtype, shape: [data.length], data }).data;
    },
  };
}
