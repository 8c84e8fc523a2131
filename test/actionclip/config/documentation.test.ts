// docs/configuration.md names every key, with the default that it has.
import { readFileSync } from 'node:fs';
import { BEHAVIOURS, configFrom } from 'actionclip';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { fileSchema, IGNORED_KEYS, KNOWN_KEYS } from '../../../packages/actionclip/src/train/config-schema.ts';

const page = readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8');

/** Rows of all tables as [key with its section, cells after it]. */
const rows: readonly (readonly [string, readonly string[]])[] = page.split(/^## /m).flatMap((section) => {
  const [title = ''] = section.split('\n');
  const prefix = ['Top level', 'logging and output'].includes(title) ? '' : `${title}.`;
  return [...section.matchAll(/^\| `([^`]+)` \|(.*)\|$/gm)].map(
    ([, key = '', cells = '']) => [prefix + key, cells.split(' | ').map((cell) => cell.trim())] as const,
  );
});
const inCode = (cell: string | undefined): unknown =>
  cell === '' ? undefined : parse(cell?.replaceAll('`', '') ?? '');

it('names every key that is read, and no other, once', () => {
  const containers = new Set([...KNOWN_KEYS.keys()]);
  const known = [...KNOWN_KEYS].flatMap(([section, keys]) =>
    keys.map((key) => (section === '' ? key : `${section}.${key}`)),
  );
  const described = (key: string): boolean =>
    !(key in IGNORED_KEYS) && (!containers.has(key) || key === 'data.randaug') && !key.startsWith('data.randaug.');
  expect(rows.map(([key]) => key).sort()).toEqual(known.filter(described).sort());
});

it('gives the defaults', () => {
  const adapters = { lora: {}, st_adapter: {} };
  const values: unknown = fileSchema.parse({ data: { label_list: 'l' }, network: adapters });
  for (const [key, [cell]] of rows) {
    if (key.startsWith('behaviour.') || key === 'data.label_list') continue;
    const found = key
      .split('.')
      .reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], values);
    expect(inCode(cell), key).toEqual(found ?? undefined);
  }
});

it('gives both behaviours', () => {
  const behaviourWith = (compatibility: string, behaviour: object) =>
    configFrom({ compatibility, behaviour, data: { label_list: 'l' } }).config.behaviour;
  const switches = rows.filter(([key]) => key.startsWith('behaviour.'));
  const all = (column: number): object =>
    Object.fromEntries(switches.map(([key, cells]) => [key.slice('behaviour.'.length), inCode(cells[column])]));
  expect(behaviourWith('released', all(0))).toEqual(BEHAVIOURS.corrected);
  expect(behaviourWith('corrected', all(1))).toEqual(BEHAVIOURS.released);
});
