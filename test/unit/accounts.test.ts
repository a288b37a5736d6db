/** Password hashing and the throttle, without any store. */
import { describe, expect, it } from 'vitest';
import { createPasswords } from '../../src/accounts/passwords.ts';
import { createThrottle } from '../../src/accounts/throttle.ts';
import { csrfTokenOf, isCsrfToken } from '../../src/accounts/sessions.ts';

const CHEAP = { N: 2 ** 10, r: 8, p: 1 };

describe('passwords', () => {
  it('are stored salted, with their cost, and verified against that cost', async () => {
    const passwords = createPasswords(CHEAP);
    const [one, two] = [
      await passwords.hash('correct horse'),
      await passwords.hash('correct horse'),
    ];
    expect(one).not.toBe(two);
    expect(one).toMatch(/^scrypt:1024:8:1:[\w-]{22}:[\w-]{43}$/);
    expect(one).not.toContain('horse');
    const dearer = createPasswords({ ...CHEAP, N: 2 ** 11 });
    expect(await dearer.verify('correct horse', one)).toBe(true);
    expect(await dearer.verify('correct horsf', one)).toBe(false);
  });

  it('cost 64 MiB a hash by default', async () => {
    expect(await createPasswords().hash('correct horse')).toMatch(/^scrypt:65536:8:2:/);
  });

  it('are false without a stored hash, and with one of another scheme', async () => {
    const passwords = createPasswords(CHEAP);
    expect(await passwords.verify('x', undefined)).toBe(false);
    expect(await passwords.verify('x', 'md5:x')).toBe(false);
  });

  it('refuses when too many wait, and goes on afterwards', async () => {
    const passwords = createPasswords(CHEAP);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 40 }, () => passwords.hash('correct horse')),
    );
    expect(outcomes.filter(({ status }) => status === 'rejected')).toHaveLength(8);
    expect(await passwords.hash('correct horse')).toMatch(/^scrypt:/);
  });
});

describe('the sign-in throttle', () => {
  it('makes one address wait after ten failures on one login, and lets it go on when they are old', () => {
    let now = 1_000_000;
    const throttle = createThrottle(() => now);
    for (let attempt = 0; attempt < 10; attempt++) {
      expect(throttle.waitMs('192.0.2.1', 'ada')).toBe(0);
      throttle.fail('192.0.2.1', 'ada');
      now += 1_000;
    }
    expect(throttle.waitMs('192.0.2.1', 'ada')).toBe(15 * 60_000 - 10_000);
    expect(throttle.waitMs('192.0.2.2', 'ada')).toBe(0);
    expect(throttle.waitMs('192.0.2.1', 'bob')).toBe(0);
    now += 15 * 60_000 - 10_000;
    expect(throttle.waitMs('192.0.2.1', 'ada')).toBe(0);
  });

  it('stops one address that tries many logins, and a login tried from many addresses', () => {
    const throttle = createThrottle(() => 0);
    for (let n = 0; n < 60; n++) throttle.fail('192.0.2.1', `user${n}`);
    expect(throttle.waitMs('192.0.2.1', 'another')).toBeGreaterThan(0);
    for (let n = 0; n < 200; n++) throttle.fail(`198.51.100.${n}`, 'ada');
    expect(throttle.waitMs('203.0.113.1', 'ada')).toBeGreaterThan(0);
  });

  it('does not count successes', () => {
    const throttle = createThrottle(() => 0);
    for (let n = 0; n < 500; n++) {
      throttle.fail('192.0.2.1', 'ada');
      throttle.succeed('192.0.2.1', 'ada');
    }
    expect(throttle.waitMs('192.0.2.1', 'ada')).toBe(0);
  });
});

describe('CSRF tokens', () => {
  it('belong to one session and do not reveal it', () => {
    expect(isCsrfToken('one', csrfTokenOf('one'))).toBe(true);
    expect(isCsrfToken('two', csrfTokenOf('one'))).toBe(false);
    expect(isCsrfToken('one', '')).toBe(false);
    expect(csrfTokenOf('one')).not.toContain('one');
  });
});
