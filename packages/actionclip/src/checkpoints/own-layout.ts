/** Files of this package's own layout: the model's parameters, and what the model is in the metadata. Runs in browsers. */
import { planSafetensors } from '@actionclip/tensor';
import type { ActionCLIP } from '../model/action-clip.ts';
import type { ModelDescription } from '../train/model-description.ts';

/** Tells the file from those of training runs, which hold the optimizer's state too. */
export const MODEL_FORMAT = 'actionclip-model';

/** The metadata of a model. @param labels Texts of the classes that it was trained on. */
export function ownMetadata(description: ModelDescription, labels?: readonly string[]): Map<string, string> {
  const metadata = new Map([
    ['format', MODEL_FORMAT],
    ['description', JSON.stringify(description)],
  ]);
  if (labels !== undefined) metadata.set('labels', JSON.stringify(labels));
  return metadata;
}

/** The parts of a safetensors file with a model, tensor by tensor: put one after the other they are the file. */
export async function* modelFileParts(
  model: ActionCLIP,
  description: ModelDescription,
  labels?: readonly string[],
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  await model.initialize();
  const parameters = new Map(model.namedParameters());
  const described = [...parameters].map(([name, { shape }]) => [name, { dtype: 'f32', shape }] as const);
  const { header, entries } = planSafetensors(new Map(described), ownMetadata(description, labels));
  yield new Uint8Array(header);
  for (const entry of entries) {
    const parameter = parameters.get(entry.name);
    if (parameter === undefined) continue;
    yield new Uint8Array(new Float32Array(await parameter.data()).buffer);
  }
}
