/**
 * The forward time of a model by itself, in a process of its own: the captured image tower on the frames of a clip, the
 * temporal head, and the text tower on the prompts, warm. Prints JSON: seconds of each run.
 *
 *     forward.ts WEIGHTS RUNS LABEL...
 */
import { FeatureEncoder, openRecognizer, promptTokens } from 'actionclip';
import { VideoTowers } from '../../packages/actionclip/src/recognize/towers.ts';

const [weights = '', runs = '', ...labels] = process.argv.slice(2);
const { model, tokenizer } = await openRecognizer(weights, { device: 'wasm' });
const texts = new FeatureEncoder(model);
const towers = new VideoTowers(model);
const prompts = promptTokens(labels, tokenizer, model.clip.sizes.text.context);
const side = model.clip.sizes.vision.resolution;
const pictures = Array.from({ length: model.frames }, (_, frame) => ({
  width: side,
  height: side,
  data: Uint8Array.from({ length: side * side * 3 }, (__, i) => (i * 31 + frame * 17) % 256),
}));

async function forward(): Promise<{ seconds: number; cpuSeconds: number }> {
  const [start, before] = [performance.now(), process.cpuUsage()];
  await texts.prompts(prompts);
  const features: number[] = [];
  for (let at = 0; at < pictures.length; at += towers.batch) {
    features.push(...(await towers.encode(pictures.slice(at, at + towers.batch))));
  }
  await towers.fuse([Float32Array.from(features)]);
  const { user, system } = process.cpuUsage(before);
  return { seconds: (performance.now() - start) / 1000, cpuSeconds: (user + system) / 1e6 };
}

// The first runs compile, pack weights, and let the engine replace its quick code by its fast code.
for (let warm = 0; warm < 2; warm++) await forward();
const measured = [];
for (let run = 0; run < Number(runs); run++) measured.push(await forward());
process.stdout.write(JSON.stringify(measured));
process.exit(0);
