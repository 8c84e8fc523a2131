/** `actionclip doctor`: what there is, what is taken, and why. */
import { defineCommand } from '../command.ts';
import { noPositionals } from '../options.ts';

export const doctor = defineCommand({
  summary: 'Say what this machine has for computing and decoding, and what is taken',
  positionals: noPositionals,
  options: {
    online: { help: 'also ask the servers of weights for an answer' },
    json: { help: 'everything as JSON; fields may be added, but keep their meaning' },
  },
  examples: ['actionclip doctor', 'actionclip doctor --online', 'actionclip doctor --json'],
  notes: 'The exit code is 0 where videos can be recognised, else 1.',
  async run({ values: { online, json } }, terminal) {
    const [{ diagnose }, { printDiagnosis }, { throwIfInterrupted }] = await Promise.all([
      import('../../doctor/diagnose.ts'),
      import('../../doctor/print.ts'),
      import('../../interrupted.ts'),
    ]);
    terminal.progress('Looking at the devices ...');
    const diagnosis = await diagnose({ online: online === true, signal: terminal.signal });
    throwIfInterrupted(terminal.signal);
    terminal.progress('');
    terminal.out(json ? JSON.stringify(diagnosis, null, 2) : printDiagnosis(diagnosis));
    if (!diagnosis.works) process.exitCode = 1;
  },
});
