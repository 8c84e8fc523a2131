/** Questions to a trained model: features of clip lists and label sets, each computed as evaluation has it. */
import type { ClipEntry } from '../data/lists.ts';
import { ClipLoader } from '../data/loader.ts';
import { type ClipFeatures, FeatureEncoder, type PromptFeatures } from '../evaluate/features.ts';
import { promptTokens } from '../evaluate/prompt-tokens.ts';
import { TEMPLATE_SETS } from '../prompts/template-sets.ts';
import type { Config } from '../train/config.ts';
import { type DatasetOptions, evaluationDataset } from '../train/datasets.ts';
import type { OpenedModel } from '../train/model-description.ts';

export class Examiner {
  readonly #config: Config;
  readonly #opened: OpenedModel;
  readonly #datasets: DatasetOptions;
  readonly #encoder: FeatureEncoder;

  constructor(config: Config, opened: OpenedModel, datasets: DatasetOptions) {
    this.#config = config;
    this.#opened = opened;
    this.#datasets = datasets;
    this.#encoder = new FeatureEncoder(opened.model);
  }

  /** @param shuffleFrames Seed of a random order of each clip's frames; in their own order without it. */
  async clips(entries: readonly ClipEntry[], shuffleFrames?: number): Promise<ClipFeatures> {
    const { batchSize, workers, corruptClips } = this.#config.data;
    const dataset = evaluationDataset(this.#config, entries, this.#datasets);
    const loader = new ClipLoader(dataset, { batchSize, workers, corruptClips });
    try {
      return await this.#encoder.clips(loader, batchSize, shuffleFrames === undefined ? {} : { shuffleFrames });
    } finally {
      await loader.close();
    }
  }

  prompts(labels: readonly string[]): Promise<PromptFeatures> {
    const { tokenizer, model } = this.#opened;
    const { templates } = TEMPLATE_SETS[this.#config.data.templates];
    return this.#encoder.prompts(promptTokens(labels, tokenizer, model.clip.sizes.text.context, templates));
  }
}
