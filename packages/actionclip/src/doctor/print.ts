/** A diagnosis in lines for people. */
import type { AdapterSupport } from '@actionclip/tensor';
import { formatBytes } from '../byte-size.ts';
import type { Diagnosis, HostReport, Part } from './diagnose.ts';

type Row = readonly [left: string, right: string];
type Section = readonly [title: string, rows: readonly Row[]];

/** The lines of a diagnosis. */
export function printDiagnosis(diagnosis: Diagnosis): string {
  const { node, system, decoders, decoder, images, packages, caches, hosts, works, advice } = diagnosis;
  const sections: readonly Section[] = [
    [
      'Machine',
      [
        ['Node', node.version],
        ['system', `${system.platform} ${system.release}, ${system.architecture}`],
        ['processor', `${system.processor}, ${plural(system.cores, 'thread')}`],
        ['memory', formatBytes(system.memory)],
      ],
    ],
    ['Devices', deviceRows(diagnosis)],
    [
      'Videos and pictures',
      [
        ...decoders.map((part) => [part.name, `${partText(part)}${part.name === decoder ? ', taken' : ''}`] as const),
        [images.name, partText(images)],
      ],
    ],
    ['Packages', packages.map((part) => [part.name, partText(part)])],
    [
      'Caches (any of them may be removed, with what is in it)',
      caches.map(({ path, bytes, files, what, variable }) => [
        files === 0 ? 'empty' : formatBytes(bytes),
        `${path}: ${what}${variable === null ? '' : `; ${variable} moves it`}`,
      ]),
    ],
    ...(hosts === undefined ? [] : [hostSection(hosts)]),
  ];
  return [
    ...sections.map(([title, rows]) => [title, ...aligned(rows)].join('\n')),
    [
      works ? 'Videos can be recognised here.' : 'Videos cannot be recognised here.',
      ...advice.map((line) => `- ${line}`),
    ].join('\n'),
  ].join('\n\n');
}

const hostSection = (hosts: readonly HostReport[]): Section => [
  'Servers of weights',
  hosts.map(({ address, reachable, answer }) => [
    new URL(address).host,
    `${reachable ? 'reachable' : 'not reachable'} (${answer})`,
  ]),
];

function aligned(rows: readonly Row[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}

function deviceRows({ webgpu, wasm, automatic }: Diagnosis): Row[] {
  const adapters: Row[] =
    'problem' in webgpu
      ? [['webgpu', webgpu.problem]]
      : webgpu.value.length === 0
        ? [['webgpu', 'no adapter: install a driver for Vulkan, Metal or Direct3D 12 to compute on a GPU']]
        : webgpu.value.map((adapter) => ['webgpu', adapterText(adapter)]);
  const simd =
    'problem' in wasm
      ? wasm.problem
      : [
          wasm.value.vectorBits === 256
            ? '128-bit SIMD, joined to 256 bits where the processor has them'
            : '128-bit SIMD',
          ...(wasm.value.relaxedSimd ? ['relaxed multiply-add'] : []),
          plural(wasm.value.threads, 'thread'),
        ].join(', ');
  // What follows the semicolon says what else could be chosen, which the rows above say better.
  const taken = 'problem' in automatic ? automatic.problem : (automatic.value.reason.split(';', 1)[0] ?? '');
  return [...adapters, ['wasm', simd], ['auto takes', taken]];
}

function adapterText({ description, software, features, bufferBytes }: AdapterSupport): string {
  return [
    `${description}${software ? ' (software: taken only when asked for)' : ''}`,
    ...(features.length === 0 ? [] : [features.join(', ')]),
    `buffers up to ${formatBytes(bufferBytes)}`,
  ].join('; ');
}

const partText = (part: Part): string => ('version' in part ? part.version : part.problem);

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
