/** A checkpoint's values into a model: from the file to the device, piece by piece. Runs in browsers. */
import { type StreamedValue, toFloat32, writeFloat32 } from '@actionclip/tensor';
import type { ActionCLIP } from '../model/action-clip.ts';
import type { CheckpointContents } from './contents.ts';
import { type Fit, type MatchedNames, type MatchOptions, matchNames } from './match.ts';
import { PIECE_BYTES, type StoredTensor } from './stored-tensor.ts';

/** Memory that the pieces of all tensors pass through, one after the other. */
interface Staging {
  readonly bytes: Uint8Array;
  readonly floats: Float32Array;
}

/** No element takes less than a byte, so that the floats of a piece are no more than its bytes. */
const staging = (): Staging => ({ bytes: new Uint8Array(PIECE_BYTES), floats: new Float32Array(PIECE_BYTES) });

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
  const shared = staging();
  const values = new Map<string, StreamedValue>();
  for (const [name, fitting] of matched.fits) {
    const tensor = contents.tensors.get(name);
    if (tensor && wanted(name)) values.set(name, streamed(tensor, expected.get(name) ?? [], fitting, shared));
  }
  await model.streamParameters(values);
  return matched;
}

function streamed(
  tensor: StoredTensor,
  shape: readonly number[],
  fitting: Fit,
  { bytes, floats }: Staging,
): StreamedValue {
  const { readInto } = tensor;
  return {
    shape,
    ...(fitting === 'as it is' && tensor.dtype === 'f32' && readInto !== undefined ? { readInto } : {}),
    async *pieces() {
      if (fitting !== 'as it is') {
        yield toFloat32(fitting(toFloat32(await tensor.read()))).data;
        return;
      }
      for await (const piece of tensor.pieces(bytes)) {
        if (piece instanceof Float32Array) yield piece;
        else {
          const target =
            piece.length <= floats.length ? floats.subarray(0, piece.length) : new Float32Array(piece.length);
          writeFloat32(tensor.dtype, piece, target);
          yield target;
        }
      }
    },
  };
}
