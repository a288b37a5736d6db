import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  parseLimit,
  parsePeriod,
  parseZone,
  ReportRefused,
} from '../../../src/reports/parameters.ts';

const given = (query: string): Map<string, string[]> =>
  new Map([...new URLSearchParams(query)].map(([name, value]) => [name, [value]]));
const HOUR_MS = 3_600_000;

describe('a period', () => {
  it.each([
    ['2026-03-29', 23],
    ['2026-10-25', 25],
    ['2026-06-01', 24],
  ])('of %s in Berlin has %i hours', (date, hours) => {
    const { fromMs = 0, toMs = 0 } = parsePeriod(given(`from=${date}&to=${date}`), 'Europe/Berlin');
    expect((toMs - fromMs) / HOUR_MS).toBe(hours);
  });

  it('of a date that a zone skipped is empty, and of its neighbours whole', () => {
    // Samoa went from 29 to 31 December 2011.
    const day = (date: string): number => {
      const { fromMs = 0, toMs = 0 } = parsePeriod(
        given(`from=${date}&to=${date}`),
        'Pacific/Apia',
      );
      return (toMs - fromMs) / HOUR_MS;
    };
    expect([day('2011-12-29'), day('2011-12-30'), day('2011-12-31')]).toEqual([24, 0, 24]);
  });

  it.each([
    ['2026-05-03', '2026-05-01'],
    ['2026-05-02', '2026-05-01'],
    ['2026-05-02T00:00:01Z', '2026-05-02T00:00:00Z'],
  ])('from %s to %s is refused', (from, to) => {
    expect(() => parsePeriod(given(`from=${from}&to=${to}`), 'UTC')).toThrow('is before from');
  });

  it('takes an instant with any offset, and without one as wall time of the zone', () => {
    const expected = Date.parse('2026-05-31T10:00:00.250Z');
    for (const text of [
      '2026-05-31T10:00:00.250Z',
      '2026-05-31T10:00:00.25Z',
      '2026-05-31 12:00:00.250%2B02:00',
      '2026-05-31T12:00:00.250+02:00',
      '2026-05-31T06:30:00.250-0330',
      '2026-05-31T12:00:00.250',
    ])
      expect(parsePeriod(given(`from=${text}`), 'Europe/Berlin').fromMs, text).toBe(expected);
  });

  it('adjoining days share no instant and leave none out, in any zone', () => {
    const zones = Intl.supportedValuesOf('timeZone');
    fc.assert(
      fc.property(
        fc.constantFrom(...zones),
        fc.integer({ min: 0, max: 365 * 60 }),
        (zone, days) => {
          const date = (n: number): string => new Date(n * 86_400_000).toISOString().slice(0, 10);
          const { toMs } = parsePeriod(given(`to=${date(days)}`), zone);
          const { fromMs } = parsePeriod(given(`from=${date(days + 1)}`), zone);
          expect(toMs).toBe(fromMs);
        },
      ),
    );
  });

  it.each([
    '2026-02-29',
    '2026-13-01',
    '1969-12-31',
    '2201-01-01',
    '2026-1-1',
    'now',
    '2026-05-31T24:00',
    '2026-05-31T10:60',
    '20260531',
    '2026-05-31T10:00:00ZZ',
    '0',
  ])('refuses %s', (text) => {
    expect(() => parsePeriod(given(`from=${text}`), 'UTC')).toThrow(ReportRefused);
  });
});

describe('a zone', () => {
  it('is known under any case and alias, by the name that every engine knows', () => {
    expect(parseZone(given('tz=europe/berlin'))).toBe('Europe/Berlin');
    expect(parseZone(given('tz=US/Pacific'))).toBe('America/Los_Angeles');
    expect(parseZone(given(''))).toBe('UTC');
    expect(parseZone(given('tz='))).toBe('UTC');
  });

  it.each(['Mars/Olympus', '%2B02:00', '-05:00', "UTC' OR 1=1"])('refuses %s', (zone) => {
    expect(() => parseZone(given(`tz=${zone}`))).toThrow('tz');
  });
});

it.each(['0', '1001', '-1', '1.5', 'x', '1e2'])('limit %s is refused', (limit) => {
  expect(() => parseLimit(given(`limit=${limit}`), 100)).toThrow('limit');
});
