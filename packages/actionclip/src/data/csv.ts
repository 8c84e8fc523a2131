/** Comma-separated values as in RFC 4180: quoted fields, doubled quotes, line breaks inside quotes, LF or CRLF. */

import { DataError } from './errors.ts';

/** One record and the line of the file on which it starts (from 1). */
export interface CsvRecord {
  readonly line: number;
  readonly fields: readonly string[];
}

/**
 * Splits text into records. Blank lines are dropped; unquoted fields lose blanks around them, quoted ones keep them.
 * @param file name for error messages
 * @throws DataError for a quote that never closes, or text after a closing quote
 */
export function parseCsv(text: string, file: string): CsvRecord[] {
  const source = text.startsWith('\uFEFF') ? text.slice(1) : text;
  const records: CsvRecord[] = [];
  let line = 1;
  let position = 0;
  while (position < source.length) {
    const startLine = line;
    const fields: string[] = [];
    let quotedAny = false;
    let ended = false;
    while (!ended) {
      const quoted = /[^\S\r\n]*"/y;
      quoted.lastIndex = position;
      if (quoted.test(source)) {
        const field = quotedField(source, quoted.lastIndex, file, line);
        fields.push(field.value);
        line += field.lineBreaks;
        position = field.end;
        quotedAny = true;
      } else {
        const plain = /[^,\r\n]*/y;
        plain.lastIndex = position;
        fields.push((plain.exec(source)?.[0] ?? '').trim());
        position = plain.lastIndex;
      }
      if (source[position] === ',') {
        position += 1;
      } else {
        const lineBreak = /\r\n|\n|\r/y;
        lineBreak.lastIndex = position;
        if (lineBreak.test(source)) {
          position = lineBreak.lastIndex;
          line += 1;
        }
        ended = true;
      }
    }
    if (quotedAny || fields.length > 1 || fields[0] !== '') records.push({ line: startLine, fields });
  }
  return records;
}

/** Reads a quoted field whose text starts at `start`; `end` is the position of the comma, line break or end behind it. */
function quotedField(
  source: string,
  start: number,
  file: string,
  line: number,
): { value: string; end: number; lineBreaks: number } {
  const body = /(?:[^"]|"")*"/y;
  body.lastIndex = start;
  const match = body.exec(source);
  if (match === null) throw new DataError(`${file}:${line}: a quoted field is never closed`, 'add the missing "');
  const value = match[0].slice(0, -1).replaceAll('""', '"');
  const rest = /[^\S\r\n]*(?=[,\r\n]|$)/y;
  rest.lastIndex = body.lastIndex;
  if (!rest.test(source)) {
    throw new DataError(
      `${file}:${line}: text follows the closing quote of a field`,
      'expected a comma or the end of the line; write a quote inside a field as ""',
    );
  }
  return { value, end: rest.lastIndex, lineBreaks: (value.match(/\r\n|\n|\r/g) ?? []).length };
}

/** Quotes a field if it needs it. */
export function formatCsvField(value: string): string {
  return /[",\r\n]|^\s|\s$/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}
