/** `actionclip doctor`: what there is, what is taken, and why. */
import { defineCommand } from '../command.ts';
import { noPositionals } from '../options.ts';

export const doctor = defineCommand({
  summary: 'Say what this machine has for computing and decoding, and what is taken',
  positionals: noPositionals,
  options: {},
  examples: ['actionclip doctor'],
  async run(_given, terminal) {
    const { automaticDevice } = await import('@actionclip/tensor');
    const { device, reason } = await automaticDevice();
    terminal.out(`Node ${process.versions.node} on ${process.platform} ${process.arch}`);
    terminal.out(reason);
    terminal.out((await device.backend()).description);
    await device.close();
  },
});
