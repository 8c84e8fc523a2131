/**
 * Checks a video by its decoder alone, without making pictures: whole, or only its first frame and what follows its last
 * key frame. Damage that a decoder hides, by making frames up, counts too.
 */
import type * as Library from 'node-av/lib';
import { DataError } from '../data/errors.ts';
import { checkCode, type NodeAv, openStream } from '../data/video-node-av.ts';
import type { CheckLevel } from './check-clip.ts';
import { counted } from './counted.ts';

/** Most packets kept since the last key frame. Where more follow it, the video's end is read but not decoded. */
const mostKept = 3000;

/** What a pass over the packets of a video found. */
interface Pass {
  readonly frames: number;
  /** what is wrong, in words */
  readonly flaws: readonly string[];
}

type Release = (() => void)[];

/**
 * @returns the number of frames; for `quick` that of the packets to be shown, which mostly, but not always, is the same
 * @throws DataError if the file cannot be read to its end, or a frame is missing or damaged
 */
export function checkVideoFile(nodeAv: NodeAv, file: string, level: CheckLevel): number {
  const release: Release = [];
  try {
    const { frames, flaws } = passes[level](nodeAv, file, release);
    if (flaws.length > 0) {
      throw new DataError(`${file}: the video is damaged or cut off: ${flaws.join(', ')}`, 'replace the video');
    }
    if (frames === 0) {
      throw new DataError(`${file}: no frame can be decoded`, 'the video is damaged or empty; replace it');
    }
    return frames;
  } finally {
    for (const free of release.reverse()) free();
  }
}

const passes: Readonly<Record<CheckLevel, (nodeAv: NodeAv, file: string, release: Release) => Pass>> = {
  full: decodeAll,
  quick: decodeEnds,
};

function decodeAll(nodeAv: NodeAv, file: string, release: Release): Pass {
  const { container, stream } = openStream(nodeAv, file, release);
  const decoder = startDecoder(nodeAv, stream, file, release);
  const unread = eachPacket(nodeAv, container, stream, release, (packet) => decoder.decode(packet));
  decoder.decode(null);
  const frames = decoder.frames();
  return { frames, flaws: [...decoder.flaws(), ...(unread ? ['the rest could not be read'] : [])] };
}

function decodeEnds(nodeAv: NodeAv, file: string, release: Release): Pass {
  const { container, stream } = openStream(nodeAv, file, release);
  const start = startDecoder(nodeAv, stream, file, release);
  let sinceKey: Library.Packet[] = [];
  let keeping = false;
  const forget = (): void => {
    for (const kept of sinceKey) kept.free();
    sinceKey = [];
  };
  release.push(forget);
  let shown = 0;
  const unread = eachPacket(nodeAv, container, stream, release, (packet) => {
    if ((packet.flags & nodeAv.constants.AV_PKT_FLAG_DISCARD) === 0) shown += 1;
    if (start.frames() === 0) start.decode(packet);
    if (packet.isKeyframe || sinceKey.length === mostKept) {
      forget();
      keeping = packet.isKeyframe;
    }
    const kept = keeping ? packet.clone() : null;
    if (kept !== null) sinceKey.push(kept);
  });
  if (start.frames() === 0) start.decode(null);
  const end = startDecoder(nodeAv, stream, file, release, sinceKey[0]?.pts);
  for (const kept of sinceKey) end.decode(kept);
  end.decode(null);
  const flaws = [
    ...(start.frames() === 0 || start.flaws().length > 0 ? ['its first frame cannot be decoded whole'] : []),
    ...(unread ? [`after ${counted(shown, 'packet')} the rest could not be read`] : []),
    ...(end.flaws().length > 0 || (sinceKey.length > 0 && end.frames() === 0)
      ? ['its last frames cannot be decoded whole']
      : []),
  ];
  return { frames: shown, flaws };
}

/** Shows each packet of the stream to `visit`. Whether something before the end could not be read. */
function eachPacket(
  { library, constants }: NodeAv,
  container: Library.FormatContext,
  stream: Library.Stream,
  release: Release,
  visit: (packet: Library.Packet) => void,
): boolean {
  const packet = new library.Packet();
  packet.alloc();
  release.push(() => packet.free());
  let code = container.readFrameSync(packet);
  for (; code >= 0; code = container.readFrameSync(packet)) {
    if (packet.streamIndex === stream.index) visit(packet);
    packet.unref();
  }
  return code !== constants.AVERROR_EOF;
}

interface Decoder {
  /** Sends a packet, or the end, and counts the frames that come out. */
  readonly decode: (packet: Library.Packet | null) => void;
  readonly frames: () => number;
  readonly flaws: () => string[];
}

/** @param from timestamp before which frames may be damaged: they refer to what was not sent */
function startDecoder(
  { library, constants }: NodeAv,
  stream: Library.Stream,
  file: string,
  release: Release,
  from: bigint = constants.AV_NOPTS_VALUE,
): Decoder {
  const decoder = library.Codec.findDecoder(stream.codecpar.codecId);
  if (decoder === null) {
    throw new DataError(`${file}: there is no decoder for its codec ${stream.codecpar.codecId}`, 're-encode the video');
  }
  const codec = new library.CodecContext();
  codec.allocContext3(decoder);
  release.push(() => codec.freeContext());
  checkCode(library, codec.parametersToContext(stream.codecpar), `${file}: its video stream is not usable`);
  codec.threadCount = 1; // the processes are the parallelism
  checkCode(library, codec.open2Sync(decoder, null), `${file}: the decoder ${decoder.name} cannot be started`);
  const frame = new library.Frame();
  frame.alloc();
  release.push(() => frame.free());
  let frames = 0;
  let damaged = 0;
  let refused = 0;
  return {
    decode: (packet) => {
      if (codec.sendPacketSync(packet) < 0) refused += 1;
      let code = codec.receiveFrameSync(frame);
      for (; code >= 0; code = codec.receiveFrameSync(frame)) {
        frames += 1;
        // the value for no timestamp is the least there is
        if (frame.decodeErrorFlags !== 0 && frame.bestEffortTimestamp >= from) damaged += 1;
        frame.unref();
      }
      if (code !== constants.AVERROR_EAGAIN && code !== constants.AVERROR_EOF) refused += 1;
    },
    frames: () => frames,
    flaws: () => [
      ...(refused > 0 ? [`the decoder refused ${counted(refused, 'packet')}`] : []),
      ...(damaged > 0 ? [`${damaged} of ${counted(frames, 'frame')} are not whole`] : []),
    ],
  };
}
