/** A new idempotency key. Not `crypto.randomUUID`: over plain http browsers have that for localhost alone. */
export function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
