/**
 * The click id: 32 lower-case hex characters, AES-128 of `[42 bit ms since 2020 | 24 bit offer | 10 bit edge number |
 * 20 bit sequence | 32 bit zero check]` under a key of the catalogue (DESIGN.md, "The click id"). Unique by
 * construction, and proof of origin without a look-up: a forged id passes the zero check once in 2^32 tries a key.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { CatalogueState } from './catalogue.ts';

const EPOCH_MS = Date.UTC(2020, 0, 1);
export const OFFER_ID_MAX = 2 ** 24 - 1;
export const EDGE_NUMBER_MAX = 2 ** 10 - 1;
export const SEQUENCE_MAX = 2 ** 20 - 1;

export interface OpenedClickId {
  readonly ms: number;
  readonly offerId: number;
  readonly edgeNumber: number;
  readonly sequence: number;
}

export interface ClickIdCodec {
  /** Throws when there is no key; never for numbers in range. */
  mint(ms: number, offerId: number, edgeNumber: number, sequence: number): string;
  /** Undefined when the text is not 32 lower-case hex characters or was not minted under any key. */
  open(id: string): OpenedClickId | undefined;
  /** Of each id what `open` says of it. A call of the cipher costs some 2 µs, for one id or for ten thousand. */
  openAll(ids: readonly string[]): readonly (OpenedClickId | undefined)[];
}

const SHAPE = /^[0-9a-f]{32}$/;
const BLOCK_BYTES = 16;

/** What a decrypted block holds; undefined: it was not minted under this key. */
function readBlock(plain: Buffer, at: number): OpenedClickId | undefined {
  if (plain.readUInt32BE(at + 12) !== 0) return undefined;
  const middle = plain.readUInt32BE(at + 4);
  const low = plain.readUInt32BE(at + 8);
  return {
    ms: EPOCH_MS + plain.readUInt32BE(at) * 1024 + (middle >>> 22),
    offerId: ((middle & 0x3fffff) << 2) | (low >>> 30),
    edgeNumber: (low >>> 20) & EDGE_NUMBER_MAX,
    sequence: low & SEQUENCE_MAX,
  };
}

/** The codec, with these ids opened already: what a chunk's calls name is asked for twice each. */
export function withOpened(codec: ClickIdCodec, ids: readonly string[]): ClickIdCodec {
  const opened = codec.openAll(ids);
  const known = new Map(ids.map((id, index) => [id, opened[index]]));
  return { ...codec, open: (id) => (known.has(id) ? known.get(id) : codec.open(id)) };
}

export function createClickIdCodec(keys: CatalogueState['click_id_keys']): ClickIdCodec {
  // One cipher object a key: ECB without padding keeps no state between blocks, and making one costs more than a block.
  const secrets = keys.map(({ key }) => Buffer.from(key, 'hex'));
  const newest = secrets.at(-1);
  const encrypt = newest && createCipheriv('aes-128-ecb', newest, null).setAutoPadding(false);
  const decrypts = secrets
    .toReversed()
    .map((secret) => createDecipheriv('aes-128-ecb', secret, null).setAutoPadding(false));
  const block = Buffer.alloc(BLOCK_BYTES);

  function openAll(ids: readonly string[]): readonly (OpenedClickId | undefined)[] {
    const opened: (OpenedClickId | undefined)[] = ids.map(() => undefined);
    let left = [...ids.keys()].filter((index) => SHAPE.test(ids[index] ?? ''));
    for (const decrypt of decrypts) {
      if (left.length === 0) break;
      const blocks = Buffer.from(left.map((index) => ids[index]).join(''), 'hex');
      const plain = decrypt.update(blocks);
      left = left.filter((index, at) => {
        opened[index] = readBlock(plain, at * BLOCK_BYTES);
        return opened[index] === undefined;
      });
    }
    return opened;
  }

  return {
    mint(ms, offerId, edgeNumber, sequence) {
      if (encrypt === undefined) throw new Error('the catalogue has no click id key');
      const sinceEpoch = ms - EPOCH_MS;
      // [42 ms][22 high bits of what follows]: written as two 32 bit words and one of 32 + check.
      block.writeUInt32BE(Math.floor(sinceEpoch / 1024) >>> 0, 0);
      block.writeUInt32BE((((sinceEpoch % 1024) << 22) | (offerId >>> 2)) >>> 0, 4);
      block.writeUInt32BE((((offerId & 3) << 30) | (edgeNumber << 20) | sequence) >>> 0, 8);
      block.writeUInt32BE(0, 12);
      return encrypt.update(block).toString('hex');
    },
    open: (id) => openAll([id])[0],
    openAll,
  };
}
