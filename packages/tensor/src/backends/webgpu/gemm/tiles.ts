/**
 * Matrix products by tiles: a workgroup computes one tile of the output, for which it stages strips of both factors in
 * workgroup memory; a thread keeps its part of the tile in named registers. The text is straight: nothing in the loop
 * over the strips is indexed by a variable but memory.
 */
import { factorSums, withoutSums } from '../../../compile/factor-sums.ts';
import type { Contraction } from '../../../compile/kernel.ts';
import type { KernelShaders } from '../kernels.ts';
import type { Binding } from '../storage.ts';
import type { Target } from '../target.ts';
import { components, lanes } from '../vectors.ts';
import { axesOf, bindCoordinates, indented, product, Scope, type Shader, ShaderText } from '../wgsl.ts';
import { type Access, accessOf } from './access.ts';
import { sizesOf } from './contraction.ts';
import { declareFinish, declarePartial } from './epilogue.ts';
import { type TileSchedule, threadsOf, tileSchedules } from './schedules.ts';
import { sumOfParts } from './split.ts';
import { Loader, type Registers, type Side, unitsOf } from './staging.ts';
import { tileSums } from './tile-sums.ts';
import type { GemmVariant } from './variant.ts';

/** Tiles along M that follow each other before the next ones along N: they share what they read of the second factor. */
const tilesInTurn = 8;
/** First of the loop variables that loaders number; those of kernels and of vectors stay below. */
const ownPositions = 256;

/** Where tiles leave their parts of the product, and of sums of factors if there are any. */
interface Scratch {
  readonly partial: Binding;
  readonly sums: readonly Binding[];
}

/** The shader that computes the tiles; with `scratch`, it stores their partial sums there. */
function tileShader(whole: Contraction, target: Target, schedule: TileSchedule, scratch?: Scratch): Shader {
  const kernel = withoutSums(whole);
  const { batch, m, n, k } = sizesOf(kernel);
  const { tileM, tileN, tileK, split } = schedule;
  const outputs = [...kernel.outputs, ...whole.outputs.filter(({ factorSum }) => factorSum !== undefined)];
  const access = scratch
    ? accessOf(kernel, target, [], [scratch.partial, ...scratch.sums])
    : accessOf(kernel, target, outputs, []);
  const shader = new ShaderText(kernel.inputs, access.bindings);
  const threads = threadsOf(schedule);
  const tilesM = Math.ceil(m / tileM);
  const tilesN = Math.ceil(n / tileN);
  const workgroups = product(batch) * tilesM * tilesN * split;
  const size = { m: shader.parameter(m), n: shader.parameter(n), k: shader.parameter(k) };
  const root = new Scope(shader);
  root.lines.push(`if (group >= ${shader.parameter(workgroups)}) { return; }`);
  root.lines.push(...tileLines(shader, schedule, tilesM, tilesN));
  const steps = Math.ceil(Math.ceil(k / tileK) / split) * tileK;
  if (split === 1) root.lines.push(`let first = 0;`, `let last = ${size.k};`);
  else {
    const [length, batches] = [shader.parameter(steps), shader.parameter(product(batch))];
    root.lines.push(
      `let part = tile / ${batches};`,
      `let batch = tile % ${batches};`,
      `let first = part * ${length};`,
      `let last = min(first + ${length}, ${size.k});`,
    );
  }
  bindCoordinates(shader, root, 'batch', batch, axesOf([...kernel.reduce.factors]));
  threadLines(root, schedule);
  const loaders = loadersOf(kernel, shader, target, root, schedule, access, size);
  const rows = schedule.threadM;
  const columns = schedule.threadN / lanes;
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) root.lines.push(`var sum${i}_${j} = vec4f();`);

  const sums = tileSums(whole, schedule, shader, root, scratch?.sums[0]);
  root.lines.push(...sums.begin);

  // A strip is fetched, then the one before it is multiplied while the loads are on their way.
  const strip = new Scope(shader, root);
  const ahead = new Scope(shader, strip);
  for (const loader of loaders) loader.fetch(ahead, 'strip');
  strip.nest('if (strip < last)', ahead);
  strip.lines.push('if (strip > first) {', ...indented([...multiplyLines(schedule), ...sums.add]), '}');
  strip.lines.push('if (strip >= last) { break; }', 'workgroupBarrier();');
  for (const loader of loaders) loader.stage(strip, 'strip');
  strip.lines.push('workgroupBarrier();');
  root.nest(`for (var strip = first; ; strip += ${tileK})`, strip);

  if (scratch) declarePartial(shader, scratch.partial, size);
  else declareFinish(kernel, shader, target, access, size);
  root.lines.push(...finishLines(schedule), ...sums.finish);
  return shader.shader(kernel.name, root.lines, threads, workgroups);
}

/** Lines that say which tile of which batch (and of which part of the sum) a workgroup computes. */
function tileLines(
  shader: ShaderText,
  { tileM, tileN, split }: TileSchedule,
  tilesM: number,
  tilesN: number,
): string[] {
  const across = shader.parameter(tilesM);
  const [whole, turn] = [shader.parameter(tilesM * tilesN), shader.parameter(tilesN * tilesInTurn)];
  return [
    `let ${split === 1 ? 'batch' : 'tile'} = group / ${whole};`,
    `let within = group % ${whole};`,
    `let turn = within / ${turn};`,
    `let tall = min(${across} - turn * ${tilesInTurn}, ${tilesInTurn});`,
    `let place = within % ${turn};`,
    `let tile_m = (turn * ${tilesInTurn} + place % tall) * ${tileM};`,
    `let tile_n = (place / tall) * ${tileN};`,
  ];
}

/** Lines that give a thread its first row and column: groups of up to four neighbours, evenly spread over the tile. */
function threadLines(root: Scope, { tileN, threadM, threadN }: TileSchedule): void {
  const across = tileN / threadN;
  root.lines.push(
    `let row = (lane / ${across}) * ${Math.min(threadM, lanes)};`,
    `let column = (lane % ${across}) * ${lanes};`,
  );
}

/** Lines that finish the thread's sums. A switch takes the place of an array, which would live in memory, and of text for each. */
function finishLines({ tileM, tileN, threadM, threadN, split }: TileSchedule): string[] {
  const offset = (i: number, count: number, width: number): number =>
    Math.floor(i / lanes) * (width / Math.ceil(count / lanes)) + (i % lanes);
  const lines = ['var m = 0;', 'var n = 0;', 'var sums = vec4f();', 'switch i {'];
  let last = 0;
  for (let row = 0; row < threadM; row++) {
    for (let column = 0; column < threadN; column += lanes) {
      const place = `m = ${offset(row, threadM, tileM)}; n = ${offset(column, threadN, tileN)};`;
      lines.push(`  case ${last++}: { ${place} sums = sum${row}_${column / lanes}; }`);
    }
  }
  const whole = split === 1 ? 'batch' : 'tile'; // parts follow each other as further batches
  lines.push('  default: {}', '}', `finish(${whole}, tile_m + row + m, tile_n + column + n, sums);`);
  return [`for (var i = 0; i < ${last}; i++) {`, ...indented(lines), '}'];
}

function loadersOf(
  kernel: Contraction,
  shader: ShaderText,
  target: Target,
  root: Scope,
  schedule: TileSchedule,
  access: Access,
  size: { readonly m: string; readonly n: string; readonly k: string },
): readonly Loader[] {
  const { m, n, k } = sizesOf(kernel);
  const { tileM, tileN, tileK } = schedule;
  const rank = kernel.shape.length;
  const common = {
    inputs: kernel.inputs,
    depth: tileK,
    sum: rank,
    steps: k,
    stepsText: size.k,
    whole: k % tileK === 0,
  };
  const [left, right] = kernel.reduce.factors;
  const sides: readonly Side[] = [
    {
      ...common,
      name: 'a',
      factor: left,
      access: access.factors[0],
      free: rank - 2,
      extent: m,
      size: size.m,
      origin: 'tile_m',
      width: tileM,
    },
    {
      ...common,
      name: 'b',
      factor: right,
      access: access.factors[1],
      free: rank - 1,
      extent: n,
      size: size.n,
      origin: 'tile_n',
      width: tileN,
    },
  ];
  for (const { name, width } of sides) {
    shader.declare(`var<workgroup> staged_${name}: array<vec4f, ${(tileK * width) / lanes}>;`);
  }
  const threads = threadsOf(schedule);
  // Where one side has less than a unit for every thread, half of the threads load each side.
  const together = sides.every((side) => unitsOf(side) % threads === 0);
  const count = together ? threads : threads / 2;
  const declared = new Set<string>();
  const pool = (): Registers => {
    const used = new Map<string, number>();
    return (type) => {
      const number = used.get(type) ?? 0;
      used.set(type, number + 1);
      const name = `held_${type.replaceAll(/\W/g, '')}_${number}`;
      if (!declared.has(name)) root.lines.push(`var ${name}: ${type};`);
      declared.add(name);
      return name;
    };
  };
  const shared = pool();
  return sides.map((side, i) => {
    const crew = { first: together ? 0 : i * count, count, all: together };
    const registers = together || i === 0 ? shared : pool();
    return new Loader(shader, target, root, side, crew, registers, ownPositions * (i + 1));
  });
}

/** Lines that multiply one staged strip into the sums. */
function multiplyLines({ tileM, tileN, tileK, threadM, threadN, unroll }: TileSchedule): string[] {
  const looped = unroll < tileK;
  const lines: string[] = [];
  for (let step = 0; step < unroll; step++) {
    const at = (width: number): string => (looped ? `(kk + ${step}) * ${width / lanes}` : `${(step * width) / lanes}`);
    const vectors = (name: string, variable: string, count: number, width: number): void => {
      for (let g = 0; g < Math.ceil(count / lanes); g++) {
        const place = `${at(width)} + ${(g * width) / lanes / Math.ceil(count / lanes)} + own_${variable}`;
        lines.push(`let ${name}${step}_${g} = staged_${name}[${place}];`);
      }
    };
    vectors('a', 'row', threadM, tileM);
    vectors('b', 'column', threadN, tileN);
    for (let i = 0; i < threadM; i++) {
      // Fewer than four rows lie somewhere within their vector.
      const element = threadM < lanes ? `[(row & ${lanes - 1}) + ${i}]` : `.${components[i % lanes]}`;
      const row = `vec4f(a${step}_${Math.floor(i / lanes)}${element})`;
      for (let j = 0; j < threadN / lanes; j++) lines.push(`sum${i}_${j} = fma(${row}, b${step}_${j}, sum${i}_${j});`);
    }
  }
  const names = [`let own_row = row / ${lanes};`, `let own_column = column / ${lanes};`];
  if (!looped) return [...names, ...lines];
  return [...names, `for (var kk = 0; kk < ${tileK}; kk += ${unroll}) {`, ...indented(lines), '}'];
}

function shaders(kernel: Contraction, target: Target, schedule: TileSchedule): KernelShaders {
  if (schedule.split === 1) return { shaders: [tileShader(kernel, target, schedule)] };
  const { split } = schedule;
  const common = { scratch: true, writable: true } as const;
  const vector = sizesOf(kernel).n % lanes === 0;
  const stored = vector ? ({ stored: 'vec4<f32>', vector } as const) : ({ stored: 'f32' } as const);
  const partial: Binding = { ...common, buffer: 0, name: 'partial', ...stored };
  const summed = factorSums(kernel).map((sum) => product(sum.kernel.shape));
  const elements = summed.reduce((a, b) => a + b, 0);
  const sums: Binding[] = elements > 0 ? [{ ...common, buffer: 1, name: 'partial_sums', stored: 'f32' }] : [];
  return {
    shaders: [tileShader(kernel, target, schedule, { partial, sums }), sumOfParts(kernel, target, split)],
    scratch: [product(kernel.shape), ...(elements > 0 ? [elements] : [])].map((count) => 4 * split * count),
  };
}

/** Matrix products by tiles of named registers: any factors, any device. */
export const tiles: GemmVariant<TileSchedule> = { sumsFactors: true, candidates: tileSchedules, shaders };
