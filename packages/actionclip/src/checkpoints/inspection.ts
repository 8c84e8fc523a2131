/**
 * What a checkpoint is, by what stands beside its values: sizes, temporal prompts, counts. What does not fit is said
 * instead of thrown. Runs in browsers.
 */
import { elementCount, type HostDtype } from '@actionclip/tensor';
import { type ClipSizes, presets } from '@actionclip/transformer';
import { type AdapterOptions, isLora, isSpatioTemporal } from '../model/adapters.ts';
import type { TemporalHeadName } from '../model/temporal.ts';
import { type CheckpointContents, contentsOf, type TensorFile } from './contents.ts';
import { type DescribedCheckpoint, describeCheckpoint, type TowerHeads } from './describe.ts';
import { CheckpointError } from './errors.ts';
import { requireWholeModel } from './model-shapes.ts';
import { isTemporal, type LayoutName } from './names.ts';
import { storedBytes } from './stored-tensor.ts';

export interface TensorCount {
  readonly tensors: number;
  readonly elements: number;
}

export interface InspectedTensor {
  /** The path in the file. */
  readonly name: string;
  readonly dtype: HostDtype;
  readonly shape: readonly number[];
}

export interface InspectedModel {
  /** The preset with these sizes. */
  readonly preset: string | null;
  readonly sizes: ClipSizes;
  readonly temporalHead: TemporalHeadName;
  /** Of Transf and Transf_cls. */
  readonly temporalLayers: number | null;
  readonly joint: boolean;
  readonly shift: boolean;
  readonly adapter: AdapterOptions | null;
  /** The frames that its positions were learned for; null where any number of frames will do. */
  readonly frames: number | null;
  readonly vocabulary: 'clip' | 'own' | 'unknown';
  readonly parameters: {
    readonly imageTower: number;
    readonly textTower: number;
    readonly logitScale: number;
    readonly temporalPrompts: number;
    readonly adapters: number;
    readonly total: number;
  };
}

/** The keys and their meaning stay as they are: `actionclip inspect --json` prints this. */
export interface CheckpointInspection {
  /** Usually the path. */
  readonly source: string;
  /** Of all files. */
  readonly bytes: number;
  readonly container: TensorFile['container'];
  /** How many files there are; more than one where it is sharded. */
  readonly files: number;
  /** Null where the names are those of no known program. */
  readonly layout: LayoutName | null;
  /** Null where no model could be made out; `problems` says why. */
  readonly model: InspectedModel | null;
  /** Tensors of the model, or of the file where there is no model, by dtype. */
  readonly dtypes: Readonly<Partial<Record<HostDtype, TensorCount>>>;
  /** Null where there is no optimizer's state. */
  readonly optimizer: (TensorCount & { readonly bytes: number }) | null;
  /** Other tensors that are no parameters, by their paths. */
  readonly ignored: readonly string[];
  /** Plain values at the top of the file, such as `epoch`; a safetensors file's metadata without long texts. */
  readonly values: Readonly<Record<string, number | string | boolean>>;
  /** Where the training run stands, in this package's own files. */
  readonly run: { readonly epoch: number; readonly step: number } | null;
  /** Texts of the classes, in this package's own files. */
  readonly labels: readonly string[] | null;
  /** Classes that a pickle names and this reader gives no meaning; none of their code was run. */
  readonly unknownClasses: readonly string[];
  /** What keeps the file from being opened as a model. */
  readonly problems: readonly string[];
  readonly tensors: readonly InspectedTensor[];
}

const OPTIMIZER = /(^|\.)optimizer(_state_dict)?\./;
/** Longer texts are left out of `values`. */
const LONGEST_VALUE = 200;
const CLIP_VOCABULARY = 49408;

/**
 * Looks through a file without reading values.
 * @param heads As for `describeCheckpoint`.
 */
export function inspectTensors(file: TensorFile, heads?: TowerHeads): CheckpointInspection {
  const problems: string[] = [];
  /** What a step gives, or undefined where the checkpoint does not fit, which is then listed. */
  const attempt = <Result>(step: () => Result): Result | undefined => {
    try {
      return step();
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      problems.push(error.message);
      return undefined;
    }
  };
  const tensors = file.paths.flatMap((name): InspectedTensor[] => {
    const found = attempt(() => file.tensor(name));
    return found ? [{ name, dtype: found.dtype, shape: found.shape }] : [];
  });
  const optimizer = tensors.filter(({ name }) => OPTIMIZER.test(name));
  // A tensor that is not in the file has been named already, and would only be named again.
  const contents = problems.length === 0 ? attempt(() => contentsOf(file)) : undefined;
  const described = contents && attempt(() => describeCheckpoint(contents, heads));
  if (contents && described) attempt(() => requireWholeModel(contents, described.description));
  const parameters = contents ? [...contents.tensors.values()] : tensors.filter(({ name }) => !OPTIMIZER.test(name));
  return {
    source: file.source,
    bytes: file.size,
    container: file.container,
    files: file.files,
    layout: contents?.layout ?? null,
    model: contents && described ? modelOf(contents, described) : null,
    dtypes: dtypesOf(parameters),
    optimizer:
      optimizer.length === 0
        ? null
        : { ...countOf(optimizer), bytes: optimizer.reduce((sum, tensor) => sum + storedBytes(tensor), 0) },
    ignored: contents?.dropped ?? [],
    values: valuesOf(file),
    run: runOf(file),
    labels: described?.labels ?? null,
    unknownClasses: file.unknownNames,
    problems,
    tensors,
  };
}

type Shaped = Pick<InspectedTensor, 'dtype' | 'shape'>;

const countOf = (tensors: readonly Shaped[]): TensorCount => ({
  tensors: tensors.length,
  elements: tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0),
});

function dtypesOf(tensors: readonly Shaped[]): Partial<Record<HostDtype, TensorCount>> {
  const dtypes = [...new Set(tensors.map(({ dtype }) => dtype))].sort();
  return Object.fromEntries(dtypes.map((dtype) => [dtype, countOf(tensors.filter((one) => one.dtype === dtype))]));
}

function modelOf(contents: CheckpointContents, { description, learnedFrames }: DescribedCheckpoint): InspectedModel {
  const { sizes, temporal, temporalLayers, joint, shift, adapter, vocabulary } = description;
  const count = (wanted: (name: string) => boolean): number =>
    countOf([...contents.tensors].flatMap(([name, tensor]) => (wanted(name) ? [tensor] : []))).elements;
  const isOfAdapter = (name: string): boolean => isLora(name) || isSpatioTemporal(name);
  const adapters = count(isOfAdapter);
  const imageTower = count((name) => name.startsWith('visual.') && !isTemporal(name) && !isLora(name));
  const logitScale = count((name) => name === 'logit_scale');
  const temporalPrompts = count((name) => isTemporal(name) && !isOfAdapter(name));
  const total = count(() => true);
  return {
    preset: Object.entries(presets).find(([, preset]) => equalSizes(preset, sizes))?.[0] ?? null,
    sizes,
    temporalHead: temporal,
    temporalLayers: temporalLayers ?? null,
    joint: joint ?? false,
    shift: shift ?? false,
    adapter: adapter ?? null,
    frames: learnedFrames ?? null,
    vocabulary: vocabulary !== 'clip' ? 'own' : sizes.text.vocabulary === CLIP_VOCABULARY ? 'clip' : 'unknown',
    parameters: {
      imageTower,
      textTower: total - imageTower - logitScale - temporalPrompts - adapters,
      logitScale,
      temporalPrompts,
      adapters,
      total,
    },
  };
}

function equalSizes(a: ClipSizes, b: ClipSizes): boolean {
  const flat = ({ embedding, vision, text }: ClipSizes): string =>
    JSON.stringify([embedding, ...[vision, text].map((tower) => Object.entries(tower).sort())]);
  return flat(a) === flat(b);
}

function valuesOf({ scalars }: TensorFile): Record<string, number | string | boolean> {
  const values = [...scalars].filter(
    ([name, value]) => !name.includes('.') && String(value).length <= LONGEST_VALUE && !OWN_JSON.has(name),
  );
  return Object.fromEntries(values);
}

/** What this package's files say as JSON, and what is told elsewhere here. */
const OWN_JSON: ReadonlySet<string> = new Set(['description', 'labels', 'config', 'state']);

function runOf({ scalars }: TensorFile): CheckpointInspection['run'] {
  const state = scalars.get('state');
  if (typeof state !== 'string') return null;
  try {
    const { position, step } = JSON.parse(state) as { position: { epoch: unknown }; step: unknown };
    return Number.isSafeInteger(position.epoch) && Number.isSafeInteger(step)
      ? { epoch: Number(position.epoch), step: Number(step) }
      : null;
  } catch {
    return null;
  }
}
