/**
 * The quick check of a video: reads it once from start to end without decoding, except for its first frame and what
 * follows its last key frame.
 */
import type * as Library from 'node-av/lib';
import { DataError } from '../data/errors.ts';
import { checkCode, type NodeAv, openStream } from '../data/video-node-av.ts';

/** Most packets kept since the last key frame. Where more follow it, the video's end is read but not decoded. */
const mostKept = 3000;

/**
 * @returns the number of packets that are to be shown, which mostly, but not always, is that of the frames
 * @throws DataError if the file cannot be read to its end, or its first or last frames cannot be decoded
 */
export function checkVideoEnds(nodeAv: NodeAv, file: string): number {
  const { library, constants } = nodeAv;
  const release: (() => void)[] = [];
  try {
    const { container, stream } = openStream(nodeAv, file, release);
    const packet = new library.Packet();
    packet.alloc();
    release.push(() => packet.free());
    const start = startDecoder(nodeAv, stream, file, release);
    let sinceKey: Library.Packet[] = [];
    let decodable = false;
    const forget = (): void => {
      for (const kept of sinceKey) kept.free();
      sinceKey = [];
    };
    release.push(forget);

    let shown = 0;
    let code = container.readFrameSync(packet);
    for (; code >= 0; code = container.readFrameSync(packet)) {
      if (packet.streamIndex === stream.index) {
        if ((packet.flags & constants.AV_PKT_FLAG_DISCARD) === 0) shown += 1;
        if (start.frames() === 0) start.decode(packet);
        if (packet.isKeyframe) {
          forget();
          decodable = true;
        }
        const kept = decodable ? packet.clone() : null;
        if (kept !== null) sinceKey.push(kept);
        if (sinceKey.length > mostKept) {
          forget();
          decodable = false;
        }
      }
      packet.unref();
    }
    if (code !== constants.AVERROR_EOF) throw damaged(file, `after ${shown} packets the rest could not be read`);
    if (start.frames() === 0) start.decode(null);
    if (start.frames() === 0) throw damaged(file, 'its first frame cannot be decoded');

    const end = startDecoder(nodeAv, stream, file, release);
    for (const kept of sinceKey) end.decode(kept);
    end.decode(null);
    if (end.refused() || (sinceKey.length > 0 && end.frames() === 0)) {
      throw damaged(file, 'its last frames cannot be decoded');
    }
    return shown;
  } finally {
    for (const free of release.reverse()) free();
  }
}

interface Decoder {
  /** Sends a packet, or the end, and counts the frames that come out. */
  readonly decode: (packet: Library.Packet | null) => void;
  readonly frames: () => number;
  /** Whether a packet, or a frame, was an error. */
  readonly refused: () => boolean;
}

function startDecoder(
  { library, constants }: NodeAv,
  stream: Library.Stream,
  file: string,
  release: (() => void)[],
): Decoder {
  const decoder = library.Codec.findDecoder(stream.codecpar.codecId);
  if (decoder === null) {
    throw new DataError(`${file}: there is no decoder for its codec ${stream.codecpar.codecId}`, 're-encode the video');
  }
  const codec = new library.CodecContext();
  codec.allocContext3(decoder);
  release.push(() => codec.freeContext());
  checkCode(library, codec.parametersToContext(stream.codecpar), `${file}: its video stream is not usable`);
  codec.threadCount = 1;
  checkCode(library, codec.open2Sync(decoder, null), `${file}: the decoder ${decoder.name} cannot be started`);
  const frame = new library.Frame();
  frame.alloc();
  release.push(() => frame.free());
  let frames = 0;
  let refused = false;
  return {
    decode: (packet) => {
      if (codec.sendPacketSync(packet) < 0) refused = true;
      let code = codec.receiveFrameSync(frame);
      for (; code >= 0; code = codec.receiveFrameSync(frame)) {
        frames += 1;
        frame.unref();
      }
      if (code !== constants.AVERROR_EAGAIN && code !== constants.AVERROR_EOF) refused = true;
    },
    frames: () => frames,
    refused: () => refused,
  };
}

function damaged(file: string, how: string): DataError {
  return new DataError(`${file}: the video is damaged or cut off: ${how}`, 'replace the video');
}
