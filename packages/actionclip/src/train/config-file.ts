/** Configuration from YAML text: errors carry the file, the line and the column. */
import { isMap, isScalar, LineCounter, type Node, parseDocument, type YAMLMap } from 'yaml';
import type { Config } from './config.ts';
import type { ConfigProblem } from './config-problems.ts';
import { resolveConfig } from './config-resolution.ts';

/** Everything that is wrong with a configuration, a line each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];
  readonly hint = 'mend the lines named above; the official YAML files of ActionCLIP are valid examples';

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/** Values that replace those of the file, by section and key: `{ data: { batch_size: 8 } }`. */
export type ConfigOverrides = Readonly<Record<string, unknown>>;

/**
 * Reads a configuration: a YAML file of ActionCLIP, official or with this package's further keys.
 * @param source The file's name, for errors.
 * @throws ConfigError that names every problem as `file:line:column: key: what is wrong`.
 */
export function parseConfig(
  yaml: string,
  source: string,
  overrides: ConfigOverrides = {},
): { config: Config; warnings: readonly string[] } {
  const lines = new LineCounter();
  const document = parseDocument(yaml, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${source}:${line}:${col}`;
  };
  if (document.errors.length > 0) {
    throw new ConfigError(document.errors.map(({ pos, message }) => `${at(pos[0])}: not YAML: ${message}`));
  }
  let values: unknown;
  try {
    values = document.toJS();
  } catch (cause) {
    throw new ConfigError([`${source}: not YAML: ${cause instanceof Error ? cause.message : String(cause)}`]);
  }
  if (!isPlainObject(values)) {
    throw new ConfigError([`${source}: expected keys and values such as "data:", found ${describe(values)}`]);
  }
  const result = resolveConfig(merge(values, overrides));
  if ('config' in result) return result;
  throw new ConfigError(
    result.problems.map(({ path, message }) => {
      const offset = offsetOf(document.contents, path);
      return `${offset === undefined ? source : at(offset)}: ${path.join('.')}: ${message}`;
    }),
  );
}

/**
 * A configuration from values alone, without a file.
 * @throws ConfigError that names every problem.
 */
export function configFrom(values: ConfigOverrides): { config: Config; warnings: readonly string[] } {
  const result = resolveConfig(values);
  if ('config' in result) return result;
  throw new ConfigError(
    result.problems.map((problem: ConfigProblem) => `${problem.path.join('.')}: ${problem.message}`),
  );
}

function merge(values: Record<string, unknown>, overrides: ConfigOverrides): Record<string, unknown> {
  const merged = { ...values };
  for (const [key, value] of Object.entries(overrides)) {
    const given = merged[key];
    merged[key] = isPlainObject(value) ? merge(isPlainObject(given) ? given : {}, value) : value;
  }
  return merged;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  return Array.isArray(value) ? 'a list' : `the ${typeof value} ${JSON.stringify(value)}`;
}

/** Where the key at this path stands; where it is absent, its nearest present section. */
function offsetOf(contents: Node | null, path: readonly string[]): number | undefined {
  let node: unknown = contents;
  let offset: number | undefined;
  for (const key of path) {
    if (!isMap(node)) break;
    const pair = findPair(node, key);
    if (pair === undefined) break;
    if (isScalar(pair.key) && pair.key.range) offset = pair.key.range[0];
    node = pair.value;
  }
  return offset;
}

function findPair(map: YAMLMap<unknown, unknown>, key: string): { key: unknown; value: unknown } | undefined {
  return map.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === key);
}
