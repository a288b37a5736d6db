/** Country of an address from the database that ships with the package; '' when unknown. */
import { createRequire } from 'node:module';
import maxmind, { type CountryResponse } from 'maxmind';
import { remembering } from '../../src/domain/remembering.ts';

const REMEMBERED_MAX = 50_000;

export type CountryReader = (ip: string) => string;

interface FlatCountry {
  readonly country_code?: string;
}

export async function openCountryReader(): Promise<CountryReader> {
  const require = createRequire(import.meta.url);
  const file =
    require.resolve('@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb');
  const reader = await maxmind.open<CountryResponse & FlatCountry>(file);
  return remembering(REMEMBERED_MAX, (ip) => {
    if (ip === '' || !maxmind.validate(ip)) return '';
    const found = reader.get(ip);
    return found?.country_code ?? found?.country?.iso_code ?? '';
  });
}
