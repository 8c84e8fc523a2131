/** `actionclip inspect`: what a checkpoint is. */
import { defineCommand } from '../command.ts';

export const inspect = defineCommand({
  summary: 'Say what a checkpoint is: kind, sizes, temporal prompts, counts, what does not fit',
  positionals: { place: 'CHECKPOINT', least: 1, most: 1 },
  options: {
    tensors: { help: 'list every tensor: dtype, shape and name' },
    json: { help: 'one JSON object; with --tensors its key "tensors" is filled' },
  },
  examples: ['actionclip inspect model_best.pt', 'actionclip inspect hub:ViT-B/16 --json'],
  notes: `Values are not read and no code of the file is run, so that a file of any size and from anywhere can be looked at.`,
  async run({ values: { tensors, json }, positionals: [name = ''] }, terminal) {
    const { inspectCheckpoint } = await import('../../checkpoints/inspect.ts');
    const { resolveWeights } = await import('../../hub/resolve.ts');
    const { weightsProgress } = await import('../fetch-progress.ts');
    const inspection = await inspectCheckpoint(await resolveWeights(name, weightsProgress(terminal)));
    if (json) {
      terminal.out(JSON.stringify(tensors ? inspection : { ...inspection, tensors: null }, null, 2));
      return;
    }
    const { drawInspection } = await import('../drawing/inspection.ts');
    const { printable } = await import('../drawing/text-width.ts');
    for (const line of drawInspection(terminal, inspection)) terminal.out(line);
    if (!tensors) return;
    for (const { dtype, shape, name: tensor } of inspection.tensors) {
      terminal.out(`${dtype.padEnd(4)}  ${`[${shape.join(', ')}]`.padEnd(18)}  ${printable(tensor)}`);
    }
  },
});
