/** The bounds of a batch file (CONTRACT.md, "POST /track/batch"). A limit on everything. */

/** Of the upload, and of the file it unpacks to: a zip bomb ends here. */
export const FILE_BYTES_MAX = 1024 ** 3;
export const LINES_MAX = 5_000_000;
/** Of one line (a record of CSV with quoted newlines, an element of a JSON array), like the body of a single call. */
export const LINE_BYTES_MAX = 64 * 1024;
/** Lines that a receipt names. */
export const REJECTED_NAMED_MAX = 1_000;
/** Kept of the text of a line that can't be read. */
export const RAW_KEPT_MAX = 2_048;
export const COLUMNS_MAX = 200;

/**
 * One chunk, larger than a live one: a look-up of clicks and an insert cost nearly the same for 10 calls as for 2,000
 * (45 and 67 ms of ClickHouse's processor time), and nobody waits for a single line. Bounded by what a live call may wait.
 */
export const CHUNK_HITS_MAX = 4_000;
export const CHUNK_BYTES_MAX = 2 * 1024 * 1024;
/** More chunks than any batch has: each is opened at a ms of its own, of so many before the receipt of the batch. */
export const CHUNKS_MAX = 2 ** 16;
