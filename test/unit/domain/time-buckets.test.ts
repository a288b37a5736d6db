/**
 * Calendar buckets against Intl.DateTimeFormat, which is asked what the wall clock shows: every zone the runtime knows,
 * every period, around clock changes above all.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  bucketOf,
  dateInZone,
  formatInZone,
  instantOfWall,
  isTimeZone,
  offsetMsAt,
  type BucketPeriod,
} from '../../../src/domain/time-buckets.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const PERIODS = ['hour', 'day', 'week', 'month'] as const;
const ODD_ZONES = [
  'UTC',
  'Europe/Berlin',
  'Europe/London',
  'America/New_York',
  'America/Santiago',
  'America/Havana',
  'America/Scoresbysund',
  'America/St_Johns',
  'Africa/Cairo',
  'Africa/Casablanca',
  'Antarctica/Troll',
  'Asia/Beirut',
  'Asia/Gaza',
  'Asia/Kathmandu',
  'Asia/Tehran',
  'Atlantic/Azores',
  'Australia/Lord_Howe',
  'Australia/Eucla',
  'Pacific/Apia',
  'Pacific/Chatham',
  'Pacific/Kiritimati',
  'Pacific/Niue',
] as const;

interface Wall {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly weekday: string;
  readonly offset: string;
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** What a wall clock shows, by Intl alone. */
function wall(zone: string, ms: number): Wall {
  let format = formats.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-GB', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      weekday: 'short',
      timeZoneName: 'longOffset',
    });
    formats.set(zone, format);
  }
  const parts = new Map(format.formatToParts(ms).map(({ type, value }) => [type, value]));
  const number = (type: Intl.DateTimeFormatPartTypes): number => Number(parts.get(type));
  return {
    year: number('year'),
    month: number('month'),
    day: number('day'),
    hour: number('hour'),
    minute: number('minute'),
    weekday: parts.get('weekday') ?? '',
    offset: parts.get('timeZoneName') ?? '',
  };
}

const MONDAY_FIRST = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];

/** Names the calendar period that an instant is in, computed in another way than the code under test. */
function periodName(period: (typeof PERIODS)[number], zone: string, ms: number): string {
  const { year, month, day, hour, weekday, offset } = wall(zone, ms);
  switch (period) {
    case 'hour':
      return `${year}-${month}-${day} ${hour} ${offset}`;
    case 'day':
      return `${year}-${month}-${day}`;
    case 'week': {
      const monday = Date.UTC(year, month - 1, day) - MONDAY_FIRST.indexOf(weekday) * DAY_MS;
      return String(monday);
    }
    default:
      return `${year}-${month}`;
  }
}

/** Compares without `expect`, which costs more than the buckets do. */
function expectExact(period: (typeof PERIODS)[number], zone: string, ms: number): void {
  const { startsAtMs, endsAtMs } = bucketOf(period, zone, ms);
  const name = periodName(period, zone, ms);
  const nameAt = (instantMs: number): string => periodName(period, zone, instantMs);
  const isExact =
    startsAtMs <= ms &&
    endsAtMs > ms &&
    nameAt(startsAtMs) === name &&
    nameAt(endsAtMs - 1) === name &&
    nameAt(startsAtMs - 1) !== name &&
    nameAt(endsAtMs) !== name;
  if (isExact) return;
  const text = [startsAtMs, ms, endsAtMs].map((at) => new Date(at).toISOString()).join(' ≤ ');
  throw new Error(`the ${period} ${name} in ${zone}: ${text}`);
}

const FROM = Date.UTC(2015, 0, 1);
const TO = Date.UTC(2037, 0, 1);
const instant = fc.integer({ min: FROM, max: TO });

/** Instants of a zone's clock changes of a year, to the quarter hour. */
function changesOf(zone: string, year: number): number[] {
  const changes: number[] = [];
  for (let day = Date.UTC(year, 0, 1); day < Date.UTC(year + 1, 0, 1); day += DAY_MS) {
    if (wall(zone, day).offset === wall(zone, day + DAY_MS).offset) continue;
    let at = day;
    while (wall(zone, at + 15 * MINUTE_MS).offset === wall(zone, day).offset) at += 15 * MINUTE_MS;
    changes.push(at + 15 * MINUTE_MS);
  }
  return changes;
}

describe('a bucket', () => {
  test.each(ODD_ZONES)('in %s is exact on both sides of every clock change', (zone) => {
    for (const change of [...changesOf(zone, 2026), Date.UTC(2026, 5, 30, 23, 59)]) {
      for (let at = change - 26 * HOUR_MS; at <= change + 26 * HOUR_MS; at += 23 * MINUTE_MS) {
        for (const period of PERIODS) expectExact(period, zone, at);
      }
      for (const at of [change - 1, change, change + 1])
        for (const period of PERIODS) expectExact(period, zone, at);
    }
  });

  test('is exact in every zone the runtime knows', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Intl.supportedValuesOf('timeZone')),
        instant,
        fc.constantFrom(...PERIODS),
        (zone, ms, period) => expectExact(period, zone, ms),
      ),
      { numRuns: 3_000 },
    );
  });

  test('holds exactly the instants that have its key', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ODD_ZONES),
        instant,
        fc.integer({ min: -40 * DAY_MS, max: 40 * DAY_MS }),
        fc.constantFrom<BucketPeriod>('hour', 'day', 'week', 'month', 'ever'),
        (zone, ms, distance, period) => {
          const bucket = bucketOf(period, zone, ms);
          const other = ms + distance;
          const isInside = other >= bucket.startsAtMs && other < bucket.endsAtMs;
          expect(bucketOf(period, zone, other).key === bucket.key).toBe(isInside);
        },
      ),
      { numRuns: 3_000 },
    );
  });

  test('does not depend on what was asked before', () => {
    const zone = 'Australia/Lord_Howe';
    const [change = 0] = changesOf(zone, 2026);
    const asked = Array.from({ length: 200 }, (_, index) => change + (index - 100) * 7 * MINUTE_MS);
    const forward = asked.map((ms) => bucketOf('hour', zone, ms).key);
    const backward = asked.toReversed().map((ms) => bucketOf('hour', zone, ms).key);
    expect(backward.toReversed()).toEqual(forward);
  });

  test('follows the one before it without a gap', () => {
    for (const zone of ODD_ZONES) {
      for (const period of PERIODS) {
        let at = Date.UTC(2026, 2, 27);
        for (let count = 0; count < 60; count++) {
          const { endsAtMs } = bucketOf(period, zone, at);
          expect(bucketOf(period, zone, endsAtMs).startsAtMs).toBe(endsAtMs);
          at = endsAtMs;
        }
      }
    }
  });
});

const at = (text: string): number => Date.parse(text);
const hours = (period: BucketPeriod, zone: string, text: string): number => {
  const { startsAtMs, endsAtMs } = bucketOf(period, zone, at(text));
  return (endsAtMs - startsAtMs) / HOUR_MS;
};

describe('known days', () => {
  test.each<[string, BucketPeriod, string, number]>([
    ['Europe/Berlin', 'day', '2026-03-29T12:00Z', 23],
    ['Europe/Berlin', 'day', '2026-10-25T12:00Z', 25],
    ['Europe/Berlin', 'week', '2026-03-29T12:00Z', 7 * 24 - 1],
    ['Europe/Berlin', 'month', '2026-10-25T12:00Z', 31 * 24 + 1],
    ['Australia/Lord_Howe', 'day', '2026-10-04T00:00Z', 23.5],
    ['Australia/Lord_Howe', 'day', '2026-04-05T00:00Z', 24.5],
    ['Australia/Lord_Howe', 'hour', '2026-04-04T15:10:00Z', 0.5],
    ['Antarctica/Troll', 'day', '2026-03-29T12:00Z', 22],
    ['Pacific/Apia', 'day', '2011-12-29T12:00Z', 24],
    ['Pacific/Apia', 'week', '2011-12-29T12:00Z', 6 * 24],
    ['Pacific/Apia', 'month', '2011-12-10T12:00Z', 30 * 24],
    ['Asia/Kathmandu', 'hour', '2026-01-01T00:20Z', 1],
  ])('%s: the %s of %s has %d hours', (zone, period, text, expected) => {
    expect(hours(period, zone, text)).toBe(expected);
  });

  test('the hour that autumn repeats is two buckets', () => {
    const first = bucketOf('hour', 'Europe/Berlin', at('2026-10-25T00:30Z'));
    const second = bucketOf('hour', 'Europe/Berlin', at('2026-10-25T01:30Z'));
    expect(first.endsAtMs).toBe(second.startsAtMs);
    expect(first.key).not.toBe(second.key);
  });

  test('the day that Apia skipped has no bucket', () => {
    const before = bucketOf('day', 'Pacific/Apia', at('2011-12-30T09:59:59Z'));
    const after = bucketOf('day', 'Pacific/Apia', at('2011-12-30T10:00:00Z'));
    expect([before.key, after.key]).toEqual(['d2011-12-29', 'd2011-12-31']);
    expect(before.endsAtMs).toBe(after.startsAtMs);
  });

  test('one instant is two dates apart at the ends of the world', () => {
    const ms = at('2026-06-15T10:30:00Z');
    expect(dateInZone('Pacific/Kiritimati', ms)).toBe('2026-06-16');
    expect(dateInZone('Pacific/Niue', ms)).toBe('2026-06-14');
    expect(formatInZone('Pacific/Niue', ms)).toBe('2026-06-14 23:30 Pacific/Niue');
  });

  test('a week begins on Monday, also across a year', () => {
    const bucket = bucketOf('week', 'UTC', at('2027-01-01T12:00Z'));
    expect(new Date(bucket.startsAtMs).toISOString()).toBe('2026-12-28T00:00:00.000Z');
  });

  test('ever is one bucket without an end', () => {
    expect(bucketOf('ever', 'UTC', 0)).toEqual(bucketOf('ever', 'Pacific/Niue', TO));
    expect(bucketOf('ever', 'UTC', 0).endsAtMs).toBe(Infinity);
  });
});

describe('a wall time', () => {
  test.each([
    ['that the change skipped is the change', '2026-03-29T02:30Z', '2026-03-29T01:00:00.000Z'],
    ['that happens twice is its first time', '2026-10-25T02:30Z', '2026-10-25T00:30:00.000Z'],
    ['of an ordinary day', '2026-06-15T12:00Z', '2026-06-15T10:00:00.000Z'],
  ])('%s', (_, wallText, expected) => {
    const instantMs = instantOfWall('Europe/Berlin', at(wallText));
    expect(new Date(instantMs).toISOString()).toBe(expected);
  });

  test('of any instant leads back to that instant or to its twin before', () => {
    fc.assert(
      fc.property(fc.constantFrom(...ODD_ZONES), instant, (zone, ms) => {
        const back = instantOfWall(zone, ms + offsetMsAt(zone, ms));
        expect(back).toBeLessThanOrEqual(ms);
        expect(ms - back).toBeLessThanOrEqual(2 * HOUR_MS);
        expect(back + offsetMsAt(zone, back)).toBe(ms + offsetMsAt(zone, ms));
      }),
      { numRuns: 2_000 },
    );
  });
});

test.each([
  ['UTC', true],
  ['Europe/Berlin', true],
  ['Mars/Olympus', false],
  ['', false],
])('%j is a zone: %s', (zone, expected) => expect(isTimeZone(zone)).toBe(expected));
