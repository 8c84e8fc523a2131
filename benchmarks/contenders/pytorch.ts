/**
 * PyTorch on the graphics card, in a Python process that is told the work and tells times, one JSON object a line. It
 * draws numbers of its own: it is the yardstick, and its results are not compared.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createClipTokenizer } from '@actionclip/tokenizer';
import { presets } from '@actionclip/transformer';
import { actionLabels, promptTokens } from 'actionclip';
import { type Abilities, type Engine, type Prepared, unmeasured } from '../harness/contender.ts';
import type { Work } from '../harness/work.ts';

export type Precision = 'f32' | 'tf32' | 'bf16';

interface Answer {
  readonly description?: string;
  readonly absent?: string;
  readonly failed?: string;
}

const script = fileURLToPath(new URL('./pytorch.py', import.meta.url));

class Python {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #errors = '';

  constructor(precision: Precision) {
    this.#process = spawn(process.platform === 'win32' ? 'python' : 'python3', [script, precision]);
    // A Python that is not there is found when its first answer is.
    this.#process.on('error', ({ message }) => {
      this.#errors = message;
    });
    this.#process.stderr?.on('data', (chunk: Buffer) => {
      this.#errors = (this.#errors + chunk.toString()).slice(-2000);
    });
    const input = this.#process.stdout as NodeJS.ReadableStream;
    this.#lines = createInterface({ input })[Symbol.asyncIterator]();
  }

  async answer(): Promise<Answer> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`Python ended: ${this.#errors.trim().split('\n').at(-1) ?? ''}`);
    return JSON.parse(value as string) as Answer;
  }

  tell(order: object): void {
    this.#process.stdin?.write(`${JSON.stringify(order)}\n`);
  }

  ask(question: object): Promise<Answer> {
    this.tell(question);
    return this.answer();
  }
}

/** The sizes of the model that the work is about, if it is about one, or why there is none in Python. */
async function described(work: Work): Promise<object | string> {
  if (!('model' in work)) return {};
  if (work.model === 'small') return "the main job's model is not written for it";
  const sizes = presets[work.model];
  const { length } = promptTokens(actionLabels, await createClipTokenizer(), sizes.text.context);
  return { sizes, textLength: length };
}

/** Starts Python. Where there is no PyTorch, or no card, every kind of work is absent for that reason. */
export async function open(precision: Precision): Promise<Engine> {
  const python = new Python(precision);
  let { description = '', absent }: Answer = {};
  try {
    ({ description = '', absent } = await python.answer());
  } catch (error) {
    absent = error instanceof Error ? error.message : String(error);
  }
  const prepare = async (work: Work): Promise<Prepared | string> => {
    const sizes = absent ?? (await described(work));
    if (typeof sizes === 'string') return sizes;
    const { failed } = await python.ask({ prepare: { ...work, ...sizes } });
    if (failed !== undefined) throw new Error(failed);
    return {
      run: async () => python.tell({ run: true }),
      finish: async () => {
        const answer = await python.ask({ finish: true });
        if (answer.failed !== undefined) throw new Error(answer.failed);
      },
    };
  };
  const abilities: Abilities = {
    matmul: prepare,
    layerNorm: prepare,
    softmax: prepare,
    attention: prepare,
    adamw: prepare,
    imageTower: prepare,
    trainingStep: prepare,
    video: unmeasured,
    copy: prepare,
    multiplyAdd: unmeasured,
  };
  return { description, abilities };
}
