/**
 * Calendar periods in a zone: hour, day, week from Monday, month, ever. Caps and Unique IP count in them, by receipt
 * time. Exact across clock changes: the repeated hour of autumn is two buckets (the key names the offset), a day may
 * have 23 or 25 hours, and a day that a zone skipped does not exist.
 */
export type BucketPeriod = 'hour' | 'day' | 'week' | 'month' | 'ever';

export interface Bucket {
  /** Unique among the buckets of one period and zone. */
  readonly key: string;
  readonly startsAtMs: number;
  /** First ms after the bucket; Infinity for `ever`. */
  readonly endsAtMs: number;
}

const EVER: Bucket = { key: 'ever', startsAtMs: -Infinity, endsAtMs: Infinity };
const QUARTER_MS = 15 * 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** Quarter hours remembered a zone: about 6 weeks of traffic; then the memory starts anew. */
const OFFSETS_MAX = 4096;
const formats = new Map<string, Intl.DateTimeFormat>();
const offsetsByZone = new Map<string, Map<number, number>>();
/** Last bucket a (period, zone): traffic is nearly always in the newest. */
const latest = new Map<string, Bucket>();

function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    formats.set(zone, format);
  }
  return format;
}

function computeOffsetMs(zone: string, ms: number): number {
  const parts: Record<string, number> = {};
  for (const { type, value } of formatOf(zone).formatToParts(ms)) parts[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(ms / 1000) * 1000;
}

/** Offset of the zone from UTC in ms at an instant. Zones change at quarter hours only, so one look-up serves 15 minutes. */
export function offsetMsAt(zone: string, ms: number): number {
  const quarter = Math.floor(ms / QUARTER_MS);
  let offsets = offsetsByZone.get(zone);
  if (offsets === undefined || offsets.size > OFFSETS_MAX) {
    offsets = new Map();
    offsetsByZone.set(zone, offsets);
  }
  let offset = offsets.get(quarter);
  if (offset === undefined) {
    offset = computeOffsetMs(zone, quarter * QUARTER_MS);
    offsets.set(quarter, offset);
  }
  return offset;
}

/**
 * The first instant whose wall clock in the zone shows `wallMs` (a wall time written as if it were UTC) or later.
 * A wall time that a clock change skipped maps to the change; one that happens twice, to its first time.
 */
export function instantOfWall(zone: string, wallMs: number): number {
  let first = Infinity;
  for (const guess of [
    wallMs - offsetMsAt(zone, wallMs - DAY_MS),
    wallMs - offsetMsAt(zone, wallMs + DAY_MS),
  ]) {
    if (guess + offsetMsAt(zone, guess) === wallMs) first = Math.min(first, guess);
  }
  if (first !== Infinity) return first;
  // Skipped: the change lies within a day; find it by quarters.
  let instant = Math.floor((wallMs - 2 * DAY_MS) / QUARTER_MS) * QUARTER_MS;
  while (instant + offsetMsAt(zone, instant) < wallMs) instant += QUARTER_MS;
  return instant;
}

function pad(value: number): string {
  return String(value).padStart(2, '0');
}

/** `YYYY-MM-DD` of an instant in a zone. */
export function dateInZone(zone: string, ms: number): string {
  return new Date(ms + offsetMsAt(zone, ms)).toISOString().slice(0, 10);
}

/** `YYYY-MM-DD HH:MM zone` of an instant, for people. */
export function formatInZone(zone: string, ms: number): string {
  return `${new Date(ms + offsetMsAt(zone, ms)).toISOString().slice(0, 16).replace('T', ' ')} ${zone}`;
}

function hourBucket(zone: string, ms: number): Bucket {
  const offset = offsetMsAt(zone, ms);
  const wallStart = Math.floor((ms + offset) / HOUR_MS) * HOUR_MS;
  let startsAtMs = wallStart - offset;
  let endsAtMs = startsAtMs + HOUR_MS;
  // A change inside the hour cuts the bucket: what follows has another offset, and so another key.
  for (let at = Math.floor(ms / QUARTER_MS) * QUARTER_MS; at >= startsAtMs; at -= QUARTER_MS) {
    if (offsetMsAt(zone, at) !== offset) {
      startsAtMs = at + QUARTER_MS;
      break;
    }
  }
  for (let at = Math.floor(ms / QUARTER_MS) * QUARTER_MS; at < endsAtMs; at += QUARTER_MS) {
    if (offsetMsAt(zone, at) !== offset) {
      endsAtMs = at;
      break;
    }
  }
  const date = new Date(wallStart).toISOString().slice(0, 13);
  return {
    key: `h${date}${offset >= 0 ? '+' : '-'}${Math.abs(offset) / 60_000}`,
    startsAtMs,
    endsAtMs,
  };
}

function dateBucket(zone: string, ms: number, period: 'day' | 'week' | 'month'): Bucket {
  const wall = new Date(ms + offsetMsAt(zone, ms));
  const [year, month, day] = [wall.getUTCFullYear(), wall.getUTCMonth(), wall.getUTCDate()];
  const sinceMonday = (wall.getUTCDay() + 6) % 7;
  const firstDay = period === 'day' ? day : period === 'week' ? day - sinceMonday : 1;
  const start = Date.UTC(year, month, firstDay);
  const end =
    period === 'month' ? Date.UTC(year, month + 1, 1) : start + (period === 'day' ? 1 : 7) * DAY_MS;
  const first = new Date(start);
  const date = `${first.getUTCFullYear()}-${pad(first.getUTCMonth() + 1)}-${pad(first.getUTCDate())}`;
  const letter = period === 'day' ? 'd' : period === 'week' ? 'w' : 'm';
  return {
    key: `${letter}${period === 'month' ? date.slice(0, 7) : date}`,
    startsAtMs: instantOfWall(zone, start),
    endsAtMs: instantOfWall(zone, end),
  };
}

export function isIn({ startsAtMs, endsAtMs }: Bucket, ms: number): boolean {
  return ms >= startsAtMs && ms < endsAtMs;
}

/** The bucket of an instant. Throws a RangeError for a zone that the runtime does not know. */
export function bucketOf(period: BucketPeriod, zone: string, ms: number): Bucket {
  if (period === 'ever') return EVER;
  const memoryKey = `${period} ${zone}`;
  const known = latest.get(memoryKey);
  if (known !== undefined && isIn(known, ms)) return known;
  const bucket = period === 'hour' ? hourBucket(zone, ms) : dateBucket(zone, ms, period);
  latest.set(memoryKey, bucket);
  return bucket;
}

/** A zone the runtime knows. */
export function isTimeZone(zone: string): boolean {
  try {
    formatOf(zone);
    return zone !== '';
  } catch {
    // The runtime reports an unknown zone only by throwing.
    return false;
  }
}
