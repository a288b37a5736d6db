import { describe, expect, it } from 'vitest';
import { createWrongKeyLimit } from '../../../src/api/wrong-key-limit.ts';

describe('the limit of wrong keys', () => {
  function start() {
    let now = 1_000_000;
    const limit = createWrongKeyLimit({ wrongMax: 3, windowMs: 60_000, clock: () => now });
    return {
      limit,
      pass: (ms: number): void => void (now += ms),
      wrong: (address: string, times: number): void => {
        for (let n = 0; n < times; n++) limit.recordWrong(address);
      },
    };
  }

  it('makes an address wait after so many, until the window ends', () => {
    const { limit, pass, wrong } = start();
    wrong('192.0.2.1', 2);
    expect(limit.secondsToWait('192.0.2.1', 'k')).toBe(0);
    wrong('192.0.2.1', 1);
    expect(limit.secondsToWait('192.0.2.1', 'k')).toBe(60);
    expect(limit.secondsToWait('192.0.2.2', 'k')).toBe(0);
    pass(59_000);
    expect(limit.secondsToWait('192.0.2.1', 'k')).toBe(1);
    pass(1_000);
    expect(limit.secondsToWait('192.0.2.1', 'k')).toBe(0);
    wrong('192.0.2.1', 2);
    expect(limit.secondsToWait('192.0.2.1', 'k')).toBe(0);
  });

  it('lets on what was right from that address before, and only that', () => {
    const { limit, wrong } = start();
    limit.recordRight('192.0.2.1', 'known');
    limit.recordRight('192.0.2.9', 'elsewhere');
    wrong('192.0.2.1', 5);
    expect(limit.secondsToWait('192.0.2.1', 'known')).toBe(0);
    expect(limit.secondsToWait('192.0.2.1', 'elsewhere')).toBeGreaterThan(0);
    expect(limit.secondsToWait('192.0.2.1', 'new')).toBeGreaterThan(0);
  });

  it('takes an IPv6 /64 for one address, and a mapped IPv4 for itself', () => {
    const { limit, wrong } = start();
    wrong('2001:db8:1:2::1', 2);
    wrong('2001:db8:1:2:ffff::9', 1);
    expect(limit.secondsToWait('2001:db8:1:2::77', 'k')).toBeGreaterThan(0);
    expect(limit.secondsToWait('2001:db8:1:3::77', 'k')).toBe(0);
    wrong('::ffff:192.0.2.5', 3);
    expect(limit.secondsToWait('192.0.2.5', 'k')).toBeGreaterThan(0);
  });
});
