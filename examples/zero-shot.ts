/**
 * Zero-shot recognition from the sources: `actionclip classify`, a video by labels that its weights were never trained on.
 *
 *     npx tsx --conditions=@actionclip/source examples/zero-shot.ts VIDEO --labels "a, b" --weights runs/train-k400/best.safetensors
 */
import { main } from 'actionclip/cli';

await main(['classify', ...process.argv.slice(2)]);
