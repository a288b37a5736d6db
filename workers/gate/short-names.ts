/**
 * Ids as the gate's state in Redis spells them: 22 characters of base64url for the 16 bytes that a transaction id or a
 * click id is. Every conversion that counts is named in several fields; short names are a sixth less memory.
 */
const SHORT = /^[A-Za-z0-9_-]{22}$/;

const CHARACTERS = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_');
const NO_DIGIT = 16;
/** Character code → value of the hex digit. */
const DIGITS = new Uint8Array(128).fill(NO_DIGIT);
for (let value = 0; value < 16; value++) DIGITS[value.toString(16).charCodeAt(0)] = value;
const SHORT_LENGTH = 22;
const spelled = Buffer.alloc(SHORT_LENGTH);

const CLICK_LENGTH = 32;
const CLICK_DIGITS = Array.from({ length: CLICK_LENGTH }, (_, at) => at);
const UUID_LENGTH = 36;
const UUID_DASHES = [8, 13, 18, 23];
const UUID_DIGITS = Array.from({ length: UUID_LENGTH }, (_, at) => at).filter(
  (at) => !UUID_DASHES.includes(at),
);

/**
 * As `Buffer.from(hex, 'hex').toString('base64url')` of the 32 digits at these places, in a third of the time: three of
 * them are two characters. Undefined when one of them is no digit.
 */
function shorten(id: string, places: readonly number[]): string | undefined {
  let all = 0;
  const digit = (index: number): number => {
    const value = DIGITS[id.charCodeAt(places[index] ?? 0)] ?? NO_DIGIT;
    all |= value;
    return value;
  };
  let index = 0;
  for (let to = 0; to < SHORT_LENGTH; to += 2) {
    // The last two digits are filled up with zeros.
    const third = index + 2 < places.length ? digit(index + 2) : 0;
    const bits = (digit(index) << 8) | (digit(index + 1) << 4) | third;
    spelled[to] = CHARACTERS[bits >> 6] ?? 0;
    spelled[to + 1] = CHARACTERS[bits & 63] ?? 0;
    index += 3;
  }
  return all < NO_DIGIT ? spelled.toString('latin1') : undefined;
}

/** A UUID in its canonical form shortened; anything else stays as it is. */
export function shortTransaction(id: string): string {
  if (id.length !== UUID_LENGTH || !UUID_DASHES.every((at) => id[at] === '-')) return id;
  return shorten(id, UUID_DIGITS) ?? id;
}

/** What `shortTransaction` made short, long again. */
export function longTransaction(name: string): string {
  if (!SHORT.test(name)) return name;
  const hex = Buffer.from(name, 'base64url').toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** A click id shortened; anything else stays as it is. */
export function shortClick(id: string): string {
  if (id.length !== CLICK_LENGTH) return id;
  return shorten(id, CLICK_DIGITS) ?? id;
}
