/**
 * The format of a chunk file: frames of `magic | length | CRC-32 | payload`; the first payload is the header as JSON,
 * every other one record of `queue/chunk-job.ts`. Length and CRC are little-endian, CRC is over the payload. A torn tail
 * ends the file; damage in the middle is skipped by searching the next magic, so that only damaged records are lost.
 */
import { crc32 } from 'node:zlib';
import type { ChunkHeader } from '../domain/hit.ts';
import { parseHeader } from '../queue/chunk-job.ts';

const MAGIC = Buffer.from([0xd5, 0x53, 0x4c, 0x1e]);
const MAGIC_NUMBER = MAGIC.readUInt32BE(0);
const FRAME_BYTES = 12;
/** Larger than any record the edge makes: a length beyond it is damage. */
const PAYLOAD_BYTES_MAX = 1024 * 1024;

/** A UTF-16 unit takes at most so many bytes of UTF-8. */
const BYTES_A_UNIT_MAX = 3;

/** Frames payloads one after the other. The result is a part of `scratch` when that has room. */
export function encodeFrames(payloads: readonly string[], scratch?: Buffer): Buffer {
  let bytesMax = 0;
  for (const payload of payloads) bytesMax += FRAME_BYTES + payload.length * BYTES_A_UNIT_MAX;
  const hasRoom = scratch !== undefined && bytesMax <= scratch.length;
  const buffer = hasRoom ? scratch : Buffer.allocUnsafe(bytesMax);
  let at = 0;
  for (const payload of payloads) {
    const from = at + FRAME_BYTES;
    const end = from + buffer.write(payload, from);
    buffer.writeUInt32BE(MAGIC_NUMBER, at);
    buffer.writeUInt32LE(end - from, at + 4);
    buffer.writeUInt32LE(crc32(buffer.subarray(from, end)), at + 8);
    at = end;
  }
  return buffer.subarray(0, at);
}

export interface DecodedChunkFile {
  readonly header: ChunkHeader | undefined;
  readonly records: readonly string[];
  /** Stretches that are no intact frame, the torn tail excluded. */
  readonly damaged: readonly Buffer[];
  /** Bytes after the last intact frame that do not hold a whole frame: an interrupted write. */
  readonly tornBytes: number;
}

function frameAt(bytes: Buffer, at: number): Buffer | undefined {
  if (at + FRAME_BYTES > bytes.length || bytes.compare(MAGIC, 0, 4, at, at + 4) !== 0)
    return undefined;
  const length = bytes.readUInt32LE(at + 4);
  if (length > PAYLOAD_BYTES_MAX || at + FRAME_BYTES + length > bytes.length) return undefined;
  const payload = bytes.subarray(at + FRAME_BYTES, at + FRAME_BYTES + length);
  return crc32(payload) === bytes.readUInt32LE(at + 8) ? payload : undefined;
}

/** Where the next intact frame begins, or the end of the bytes. */
function nextIntact(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(MAGIC, from); at >= 0; at = bytes.indexOf(MAGIC, at + 1)) {
    if (frameAt(bytes, at) !== undefined) return at;
  }
  return bytes.length;
}

function readHeader(payload: string | undefined): ChunkHeader | undefined {
  if (payload === undefined || !payload.startsWith('{')) return undefined;
  try {
    return parseHeader(JSON.parse(payload));
  } catch {
    // A header that can't be read makes the whole chunk damaged; the caller quarantines it.
    return undefined;
  }
}

/** Decodes a file's bytes; never throws. Without a readable header nothing in it can be attributed. */
export function decodeChunkFile(bytes: Buffer): DecodedChunkFile {
  const payloads: string[] = [];
  const damaged: Buffer[] = [];
  let tornBytes = 0;
  let at = 0;
  while (at < bytes.length) {
    const payload = frameAt(bytes, at);
    if (payload !== undefined) {
      payloads.push(payload.toString('utf8'));
      at += FRAME_BYTES + payload.length;
      continue;
    }
    const next = nextIntact(bytes, at + 1);
    if (next === bytes.length) tornBytes = next - at;
    else damaged.push(bytes.subarray(at, next));
    at = next;
  }
  const header = readHeader(payloads[0]);
  return {
    header,
    records: header === undefined ? payloads : payloads.slice(1),
    damaged,
    tornBytes,
  };
}
