/**
 * How many frames the tables of an MP4 or MOV file speak of (ISO/IEC 14496-12), before a reader makes room for them: a
 * few bytes can say two thousand million. Runs in browsers.
 */
import { DataError } from './errors.ts';

/** Boxes that hold boxes, on the way to the tables. */
const CONTAINERS: ReadonlySet<string> = new Set(['moov', 'trak', 'mdia', 'minf', 'stbl', 'moof', 'traf']);

/** Entries of a number of samples and what holds for each of them, as they stand in `stts` and `ctts`. */
function runs(content: DataView): number {
  let samples = 0;
  const entries = Math.min(content.getUint32(0), (content.byteLength - 4) >> 3);
  for (let entry = 0; entry < entries; entry++) samples += content.getUint32(4 + 8 * entry);
  return samples;
}

/** Samples that a table speaks of; its content begins behind the version and the flags. */
const TABLES: Readonly<Record<string, (content: DataView) => number>> = {
  stts: runs,
  ctts: runs,
  trun: (content) => content.getUint32(0),
};

/** Of the tables together: nineteen hours at sixty frames a second, each with a time and a shift of it. */
const MOST_SAMPLES = 2 ** 23;
/** The largest set of boxes that is looked into. */
const MOST_BYTES = 2 ** 28;

/**
 * Looks through the boxes of a file; one of another kind has none. Sound is passed by, since nobody reads its tables
 * here, and a sample of it may be very short.
 * @throws DataError where its tables speak of more frames than the file has bytes, or than anything here could hold.
 */
export async function refuseEndlessTables(file: Blob, name: string): Promise<void> {
  let all = 0;
  for (let at = 0; at + 8 <= file.size; ) {
    const box = boxAt(new DataView(await file.slice(at, at + 16).arrayBuffer()), 0, file.size - at);
    if (box === undefined) return;
    if (CONTAINERS.has(box.type) && box.end - box.start <= MOST_BYTES) {
      const samples = samplesIn(new DataView(await file.slice(at + box.start, at + box.end).arrayBuffer()));
      all += samples;
      if (samples > MOST_SAMPLES || all > file.size) {
        throw new DataError(
          `${name}: its tables speak of ${samples} frames, in a file of ${file.size} bytes`,
          'the video is damaged; replace it',
        );
      }
    }
    at += box.end;
  }
}

/** Boxes within boxes that lead to tables: `moov`, `trak`, `mdia`, `minf`, `stbl`. */
const MOST_LEVELS = 5;

/** Samples of all tables in a row of boxes. */
function samplesIn(boxes: DataView, level = 1): number {
  if (level > MOST_LEVELS) return 0;
  let samples = 0;
  for (const { type, content } of boxesIn(boxes)) {
    if (CONTAINERS.has(type)) samples += type === 'trak' && !isVideo(content) ? 0 : samplesIn(content, level + 1);
    else if (content.byteLength >= 8) samples += TABLES[type]?.(behind(content, 4)) ?? 0;
  }
  return samples;
}

/** Whether the handler of a track, in the box of its media, is that of videos. */
function isVideo(track: DataView): boolean {
  const media = boxesIn(track).find(({ type }) => type === 'mdia');
  const handler = media && boxesIn(media.content).find(({ type }) => type === 'hdlr');
  return handler !== undefined && handler.content.byteLength >= 12 && textAt(handler.content, 8) === 'vide';
}

/** A row of boxes. */
function boxesIn(bytes: DataView): { readonly type: string; readonly content: DataView }[] {
  const boxes: { type: string; content: DataView }[] = [];
  for (let at = 0; at + 8 <= bytes.byteLength; ) {
    const box = boxAt(bytes, at, bytes.byteLength - at);
    if (box === undefined) break;
    boxes.push({
      type: box.type,
      content: new DataView(bytes.buffer, bytes.byteOffset + at + box.start, box.end - box.start),
    });
    at += box.end;
  }
  return boxes;
}

const behind = ({ buffer, byteOffset, byteLength }: DataView, start: number): DataView =>
  new DataView(buffer, byteOffset + start, byteLength - start);

const textAt = (bytes: DataView, at: number): string =>
  String.fromCharCode(...[0, 1, 2, 3].map((byte) => bytes.getUint8(at + byte)));

interface Box {
  readonly type: string;
  /** Where its content begins and where it ends, from its own beginning. */
  readonly start: number;
  readonly end: number;
}

/** The box at a place with so many bytes left; undefined for what is none. One that reaches further is taken as cut off. */
function boxAt(bytes: DataView, at: number, left: number): Box | undefined {
  const size = bytes.getUint32(at);
  const type = textAt(bytes, at + 4);
  const isLong = size === 1;
  if (isLong && bytes.byteLength - at < 16) return undefined;
  const start = isLong ? 16 : 8;
  const said = isLong ? Number(bytes.getBigUint64(at + 8)) : size === 0 ? left : size;
  return said < start || !/^[\x20-\x7e\xa9]{4}$/.test(type) ? undefined : { type, start, end: Math.min(said, left) };
}
