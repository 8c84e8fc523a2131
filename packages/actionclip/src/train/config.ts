/**
 * The configuration of a run as the program uses it, and the switches between the released code's behaviour and the
 * corrected one.
 */
import type { AdapterOptions } from '../model/adapters.ts';
import type { TemplateSetName } from '../prompts/template-sets.ts';
import type { Averaging } from './weight-average.ts';

export type TemporalHead = 'meanP' | 'LSTM' | 'Transf' | 'Conv_1D' | 'Transf_cls';

/** Where the released code has a known fault, both behaviours have a name. */
export interface BehaviourSwitches {
  /** Conv_1D reads [batch, frames, width] as [batch, width, frames] without moving data (released), or moves it. */
  readonly conv1d: 'reshaped' | 'transposed';
  /** The learning rate is set at the first step of an epoch and then at every n-th: 10 (released) or 1. */
  readonly learningRateRefresh: number;
  /** Validation leaves out the clips of the last, partial batch (released), or counts every clip. */
  readonly dropLastValidationBatch: boolean;
  /** Colour jitter and RandAugment draw their values for every frame (released), or once a clip. */
  readonly augmentEachFrame: boolean;
  /** The multistep schedule divides by ten whatever `lr_decay_factor` says (released), or multiplies by it. */
  readonly fixedDecayFactor: boolean;
  /** CLIP's matrices and biases are rounded to half precision after every step (released), or kept in 32 bits. */
  readonly halfWeights: boolean;
  /** `fix_img` does nothing (released), or freezes the image tower. */
  readonly ignoreFixImage: boolean;
}

export interface DataConfig {
  readonly dataset: string;
  /** Before relative paths of frames and videos in the lists. */
  readonly root?: string;
  readonly trainList?: string;
  readonly validationList?: string;
  readonly labelList: string;
  /** A Python format string with one integer, `img_{:05d}.jpg`. */
  readonly imageTemplate: string;
  /** The number of the first frame in a folder. */
  readonly firstFrame: number;
  /** Frames per clip, one from each of as many segments. */
  readonly frames: number;
  /** Pixels of the square that the model sees. */
  readonly inputSize: number;
  readonly batchSize: number;
  readonly workers: number;
  /**
   * Clips that cannot be read. Skip: in training another clip takes the place, validation leaves them out, and they are
   * counted and reported. Error: the first one ends the run.
   */
  readonly corruptClips: 'skip' | 'error';
  readonly randAugment: { readonly operations: number; readonly magnitude: number };
  /** Training draws a random frame from each segment instead of its centre. */
  readonly randomShift: boolean;
  /**
   * Different views (frames and augmentation) of each training clip, which epochs take in turn: the features of a frozen
   * image tower are then computed once. Every epoch draws its own where absent.
   */
  readonly featureViews?: number;
  readonly labelCleaning: { readonly underscores: boolean; readonly camelCase: boolean };
  /** The set of texts around the labels, in training and validation. */
  readonly templates: TemplateSetName;
  /** Few-shot training: clips of each class that are drawn from the training list; all of them if absent. */
  readonly shots?: number;
}

export interface NetworkConfig {
  /** The name of a preset, `ViT-B/32`. */
  readonly architecture: string;
  /** A file with the weights of CLIP to start from; without it the towers start at random. */
  readonly weights?: string;
  /** False: the text tower keeps its random start although there are weights. */
  readonly pretrainedText: boolean;
  readonly temporalHead: TemporalHead;
  readonly shift: boolean;
  readonly joint: boolean;
  readonly dropout: number;
  readonly embeddingDropout: number;
  /** Frozen parts keep their parameters; what is in none of the three parts, the logit scale, is always trained. */
  readonly freezeText: boolean;
  readonly freezeImage: boolean;
  readonly freezeTemporal: boolean;
  /** With one, it alone is trained of the towers; a tower without adapters is frozen. */
  readonly adapter?: AdapterOptions;
  /** The blocks of both towers are computed again for their gradients, in less memory. */
  readonly checkpoint: boolean;
}

export interface SolverConfig {
  readonly optimizer: 'adamw' | 'adam' | 'sgd';
  /** Mixed: the towers' matrix products take factors of half precision, and the loss is scaled; all else is in 32 bits. */
  readonly precision: 'f32' | 'mixed';
  readonly learningRate: number;
  /** Factor on the learning rate of the visual tower. */
  readonly visualRatio: number;
  /** Factor on the learning rate of the temporal head. */
  readonly temporalRatio: number;
  readonly weightDecay: number;
  readonly momentum: number;
  readonly schedule: 'cosine' | 'multistep';
  readonly epochs: number;
  readonly startEpoch: number;
  readonly warmupEpochs: number;
  /** Epochs at which the multistep schedule multiplies the rate by `decayFactor`. */
  readonly milestones: readonly number[];
  readonly decayFactor: number;
  /** The largest norm of all gradients together; without it they are not clipped. */
  readonly maximumGradientNorm?: number;
  /** In how many parts a batch is computed, one after the other on the device, with the loss of the whole batch. */
  readonly accumulation: number;
  /** Biases, gains and other vectors, and the logit scale, are not decayed. */
  readonly noDecay: boolean;
  /** As `behaviour` has it. */
  readonly halfWeights: boolean;
  /** Factor on the rate for every step from the top of a tower down to its embeddings; 1 leaves all rates as they are. */
  readonly layerDecay: number;
  /** Clips against the texts of the batch, or classified by the texts of all classes, which the text tower gives once. */
  readonly loss: 'contrastive' | 'classifier';
  /** The share of every target that is spread evenly, over the batch or over the classes. */
  readonly labelSmoothing: number;
  /** Which averages of the parameters are validated and saved for use; without it the parameters themselves are. */
  readonly averaging?: Averaging;
}

export interface OutputConfig {
  readonly folder: string;
  /** Epochs between validations. */
  readonly evaluateEvery: number;
  /** Whether TensorBoard's event files are written beside the log. */
  readonly tensorboard: boolean;
}

export interface Config {
  readonly seed: number;
  readonly compatibility: 'released' | 'corrected';
  readonly behaviour: BehaviourSwitches;
  /** A checkpoint whose weights the run starts from. */
  readonly pretrain?: string;
  /** A checkpoint that the run continues. */
  readonly resume?: string;
  /** Validate once and end. */
  readonly evaluateOnly: boolean;
  readonly data: DataConfig;
  readonly network: NetworkConfig;
  readonly solver: SolverConfig;
  readonly output: OutputConfig;
}

/** The released code's behaviour and ours, by name. */
export const BEHAVIOURS: Readonly<Record<Config['compatibility'], BehaviourSwitches>> = {
  released: {
    conv1d: 'reshaped',
    learningRateRefresh: 10,
    dropLastValidationBatch: true,
    augmentEachFrame: true,
    fixedDecayFactor: true,
    halfWeights: true,
    ignoreFixImage: true,
  },
  corrected: {
    conv1d: 'transposed',
    learningRateRefresh: 1,
    dropLastValidationBatch: false,
    augmentEachFrame: false,
    fixedDecayFactor: false,
    halfWeights: false,
    ignoreFixImage: false,
  },
};

/** What the released code's multistep schedule multiplies by. */
export const RELEASED_DECAY_FACTOR = 0.1;
