/** Five steps of training from a fixture's weights on one device, and the tests that compare them with PyTorch's. */

import {
  AdamW,
  autocast,
  compile,
  type Device,
  type DeviceOptions,
  type HostTensor,
  LossScale,
  openDevice,
  setDefaultDevice,
  type Tensor,
  type TypedArray,
} from '@actionclip/tensor';
import { contrastiveLoss } from 'actionclip';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  buildModel,
  type CaseName,
  floats,
  type GoldenCase,
  integers,
  largestError,
  parameterGroupsOf,
  readCase,
  relativeError,
} from './fixtures.ts';

/** Relative bounds: of the largest element for features, logits and the loss, of the norm for the others. */
const bounds = {
  features: 1e-4,
  loss: 1e-4,
  gradient: 1e-3,
  parameter: 1e-4,
  mixedLoss: 2e-2,
  mixedParameter: 2e-2,
  rounding: 1e-7,
} as const;

const featureNames = ['frame_features', 'video_features', 'text_features', 'logits_per_video'] as const;

/** So small that none of the five steps is skipped. */
const lossScale = 64;

interface CaseResult {
  /** Features and logits before the first step that moves anything. */
  readonly features: ReadonlyMap<string, TypedArray>;
  /** Gradients at the start, of the parameters that the loss depends on. */
  readonly gradients: ReadonlyMap<string, TypedArray>;
  readonly losses: readonly number[];
  /** Parameters after the last step. */
  readonly parameters: ReadonlyMap<string, TypedArray>;
}

/**
 * Captures one step of the released recipe and runs it at the rates of the fixture; the first rate is 0. In mixed
 * precision the gradients are those of the scaled loss.
 */
async function runCase(golden: GoldenCase, precision: 'f32' | 'mixed' = 'f32'): Promise<CaseResult> {
  const { betas, eps, weight_decay: weightDecay, lr_per_step: rates } = golden.description.optimizer;
  const model = await buildModel(golden).initialize();
  const { text, visual, fusion } = parameterGroupsOf(model);
  const optimizer = new AdamW(
    [text, visual, fusion].map((parameters) => ({ parameters })),
    {
      betas,
      epsilon: eps,
      weightDecay,
      ...(precision === 'mixed' ? { lossScale: new LossScale({ initial: lossScale }) } : {}),
    },
  );
  let gradientNames: string[] = [];
  const step = compile((frames, tokens, labels) => {
    const enabled = precision === 'mixed';
    const frameFeatures = autocast(() => model.encodeFrames(frames), { enabled });
    const videoFeatures = model.fusion.forward(frameFeatures);
    const textFeatures = autocast(() => model.encodeText(tokens), { enabled });
    const logits = model.logits(videoFeatures, textFeatures);
    const loss = contrastiveLoss(logits, labels).total;
    optimizer.scaleLoss(loss).backward();
    const gradients = [...model.namedParameters()].flatMap(([name, { grad }]) => (grad ? [{ name, grad }] : []));
    gradientNames = gradients.map(({ name }) => name);
    optimizer.update();
    return [loss, frameFeatures, videoFeatures, textFeatures, logits, ...gradients.map(({ grad }) => grad)];
  });

  const inputs = [floats(golden.frames), integers(golden.tokens), integers(golden.labels)] as const;
  const losses: number[] = [];
  let features: CaseResult['features'] = new Map();
  let gradients: CaseResult['gradients'] = new Map();
  for (const stepRates of rates) {
    optimizer.groups.forEach((group, i) => {
      group.learningRate = stepRates[i] as number;
    });
    const results = await step(...inputs);
    if (losses.length === 0) {
      const values = await Promise.all(results.slice(1).map((result) => result.data()));
      const named = [...featureNames, ...gradientNames].map((name, i) => [name, values[i] as TypedArray] as const);
      features = new Map(named.slice(0, featureNames.length));
      gradients = new Map(named.slice(featureNames.length));
    }
    losses.push(await (results[0] as Tensor).item());
    for (const result of results) result.dispose();
  }
  const parameters = new Map<string, TypedArray>();
  for (const [name, parameter] of model.namedParameters()) parameters.set(name, await parameter.data());
  return { features, gradients, losses, parameters };
}

/** The entries of a fixture under a prefix, each with the result of the same name and how far that is from it. */
function errors(
  golden: GoldenCase,
  prefix: string,
  results: ReadonlyMap<string, TypedArray>,
  error: (actual: TypedArray, expected: HostTensor) => number,
): [string, number][] {
  return [...golden.expected]
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, expected]) => {
      const actual = results.get(name.slice(prefix.length));
      return [name, actual ? error(actual, expected) : Number.NaN];
    });
}

/** Defines the tests of the cases on one device, which `change` may alter before it is used. */
export function describeCases(
  device: 'wasm' | 'reference' | 'webgpu',
  names: readonly CaseName[],
  options: DeviceOptions = {},
  change?: (opened: Device) => Promise<void>,
): void {
  let opened: Device;
  beforeAll(async () => {
    opened = await openDevice(device, options);
    await change?.(opened);
    setDefaultDevice(opened);
  });
  afterAll(() => opened.close());

  describe.each(names)(`PyTorch's numbers of the case %s on ${device}`, (name) => {
    let golden: GoldenCase;
    let result: CaseResult;
    beforeAll(async () => {
      golden = await readCase(name);
      result = await runCase(golden);
    }, 600_000);

    test.each(featureNames)('%s', (feature) => {
      const expected = golden.expected.get(feature) as HostTensor;
      expect(largestError(result.features.get(feature) as TypedArray, expected)).toBeLessThan(bounds.features);
    });

    test('the gradient of every parameter', () => {
      const all = errors(golden, 'grad.', result.gradients, relativeError);
      expect(all.length).toBeGreaterThan(60);
      expect(all.filter(([, error]) => !(error < bounds.gradient))).toEqual([]);
    });

    test('the losses of five steps', () => {
      const { losses } = golden.description;
      expect(result.losses).toHaveLength(losses.length);
      const far = losses.map((loss, i) => Math.abs((result.losses[i] as number) / loss - 1));
      expect(far.filter((error) => !(error < bounds.loss))).toEqual([]);
    });

    test('the parameters after five steps', () => {
      const all = errors(golden, 'after5.', result.parameters, relativeError);
      expect(all).toHaveLength(5);
      expect(all.filter(([, error]) => !(error < bounds.parameter))).toEqual([]);
    });
  });
}

/** Defines the tests of the cases in mixed precision on one device. */
export function describeMixedCases(
  device: 'wasm' | 'reference' | 'webgpu',
  names: readonly CaseName[],
  options: DeviceOptions = {},
): void {
  let opened: Device;
  beforeAll(async () => {
    opened = await openDevice(device, options);
    setDefaultDevice(opened);
  });
  afterAll(() => opened.close());

  test.each(names)(
    `the losses of five steps of the case %s in mixed precision on ${device}`,
    async (name) => {
      const golden = await readCase(name);
      const { losses } = golden.description;
      const result = await runCase(golden, 'mixed');
      expect(result.losses).toHaveLength(losses.length);
      const far = losses.map((loss, i) => Math.abs((result.losses[i] as number) / loss - 1));
      expect(far.filter((error) => !(error < bounds.mixedLoss))).toEqual([]);
      // The steps were taken, not skipped, and the rounding shows.
      const moved = errors(golden, 'after5.', result.parameters, relativeError);
      expect(moved.filter(([, error]) => !(error < bounds.mixedParameter))).toEqual([]);
      expect(far.some((error) => error > bounds.rounding)).toBe(true);
    },
    600_000,
  );
}
