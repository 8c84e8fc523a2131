/** What is wrong with a configuration, in words: from the schema's issues, with neighbours for mistyped keys. */
import type { z } from 'zod';
import { nearest } from '../nearest.ts';

export interface ConfigProblem {
  /** From the top level down to the key. */
  readonly path: readonly string[];
  readonly message: string;
}

type Issue = z.core.$ZodIssue;

/**
 * One problem for each unknown key and each unfit value.
 * @param knownKeys Every key by section; the section of nested keys is their dotted path.
 */
export function problemsOf(
  issues: readonly Issue[],
  knownKeys: ReadonlyMap<string, readonly string[]>,
): ConfigProblem[] {
  return issues.flatMap((issue) => {
    const path = issue.path.map(String);
    if (issue.code !== 'unrecognized_keys') return [{ path, message: valueMessage(issue) }];
    return issue.keys.map((key) => ({
      path: [...path, key],
      message: `unknown key; ${suggestion(key, path.join('.'), knownKeys)}`,
    }));
  });
}

function valueMessage(issue: Issue): string {
  if (issue.code === 'invalid_type' && issue.input === undefined && issue.message.endsWith('received undefined')) {
    return 'this key is required';
  }
  return issue.message.replace(/^./, (letter) => letter.toLowerCase());
}

function suggestion(key: string, section: string, knownKeys: ReadonlyMap<string, readonly string[]>): string {
  const here = knownKeys.get(section) ?? [];
  const elsewhere = [...knownKeys].filter(([name, keys]) => name !== section && keys.includes(key));
  if (elsewhere.length > 0) {
    return `it belongs ${elsewhere.map(([name]) => (name === '' ? 'to the top level' : `under ${name}`)).join(' or ')}`;
  }
  const near = nearest(key, here);
  return near.length > 0 ? `did you mean ${near.join(' or ')}?` : `known are ${here.join(', ')}`;
}
