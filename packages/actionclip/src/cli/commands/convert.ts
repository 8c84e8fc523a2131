/** `actionclip convert`: weights of any known program as safetensors for another. */
import { defineCommand } from '../command.ts';
import { fraction, OptionError, type OptionTable, oneOf, text } from '../options.ts';

const convertOptions = {
  to: {
    place: 'LAYOUT',
    kind: oneOf('actionclip', 'openai', 'huggingface'),
    help: 'actionclip, openai or huggingface: by whose names the parameters are written',
  },
  out: { place: 'FILE', kind: text, help: 'the .safetensors file to write' },
  dtype: { place: 'DTYPE', kind: oneOf('f32', 'f16', 'bf16'), help: 'f32, f16 or bf16; as in the file if not told' },
  dropTemporal: { help: 'leave the temporal prompts out: what remains is CLIP' },
  interpolate: { place: 'OTHER', kind: text, help: 'mix with the weights that these were fine-tuned from' },
  alpha: { place: 'A', kind: fraction, help: 'the share of OTHER in the mixture; 0.5' },
} as const satisfies OptionTable;

export const convert = defineCommand({
  summary: "Write a checkpoint's weights as safetensors, for this program or another",
  positionals: { place: 'CHECKPOINT', least: 1, most: 1 },
  options: convertOptions,
  examples: [
    'actionclip convert hub:ViT-B/16 --to actionclip --dtype f16 --out vit-b-16.safetensors',
    'actionclip convert model_best.pt --to huggingface --drop-temporal --out clip/model.safetensors',
    'actionclip convert best.safetensors --interpolate hub:ViT-B/16 --alpha 0.5 --to actionclip --out mixed.safetensors',
  ],
  notes: `actionclip   OpenAI CLIP's names, the temporal head under "fusion.", and a description of the model in the
             metadata: everything that there is
openai       CLIP's own names, for programs that read OpenAI's state dicts; no temporal prompts
huggingface  the names of transformers' CLIPModel, with its config.json beside; no temporal prompts

What LoRA has learnt is merged into the weights. ST-Adapters count as temporal prompts.

A mixture has alpha parts of OTHER's towers and 1 - alpha of CHECKPOINT's, and CHECKPOINT's temporal head: after
fine-tuning, half of each often knows more of classes that were not trained on.`,
  async run({ values, positionals: [name = ''] }, terminal) {
    const { to, out, dtype, dropTemporal, interpolate, alpha } = values;
    if (to === undefined) throw new OptionError('--to is missing', 'choose actionclip, openai or huggingface');
    if (out === undefined) throw new OptionError('--out is missing', 'name the .safetensors file to write');
    if (alpha !== undefined && interpolate === undefined) {
      throw new OptionError('--alpha needs --interpolate', 'name the weights to mix with');
    }
    const { convertCheckpoint } = await import('../../checkpoints/convert.ts');
    const { firstFew } = await import('../../checkpoints/first-few.ts');
    const { resolveWeights } = await import('../../hub/resolve.ts');
    const { weightsProgress } = await import('../fetch-progress.ts');
    const { formatBytes } = await import('../../byte-size.ts');
    const from = await resolveWeights(name, weightsProgress(terminal));
    const pretrained = interpolate && (await resolveWeights(interpolate, weightsProgress(terminal)));
    const { files, tensors, dropped } = await convertCheckpoint(from, out, {
      to,
      ...(dtype === undefined ? {} : { dtype }),
      dropTemporal: dropTemporal === true,
      ...(pretrained === undefined ? {} : { interpolate: { pretrained, alpha: alpha ?? 0.5 } }),
      signal: terminal.signal,
      onProgress: (done, total) => terminal.progress(`Writing ${out}  ${formatBytes(done)} of ${formatBytes(total)}`),
    });
    terminal.progress('');
    if (dropped.length > 0) terminal.say(`Left out of the temporal prompts: ${firstFew(dropped)}`);
    terminal.say(`Wrote ${tensors} tensors`);
    for (const file of files) terminal.out(file);
  },
});
