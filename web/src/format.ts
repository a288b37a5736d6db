/** Numbers, money and times as people read them. Times come from the API in UTC and are shown in the chosen zone. */
const numbers = new Intl.NumberFormat('en');
const percents = new Intl.NumberFormat('en', { style: 'percent', maximumFractionDigits: 2 });

export const formatNumber = (value: number): string => numbers.format(value);
export const formatPercent = (ratio: number): string => percents.format(ratio);

const moneyFormats = new Map<string, Intl.NumberFormat>();

/** An amount with up to 4 places; without a currency (sums over several) the bare number. */
export function formatMoney(value: number, currency: string): string {
  let format = moneyFormats.get(currency);
  if (format === undefined) {
    const places = { minimumFractionDigits: 2, maximumFractionDigits: 4 };
    try {
      format = new Intl.NumberFormat(
        'en',
        currency === '' ? places : { style: 'currency', currency, ...places },
      );
    } catch {
      // A currency that this browser does not know: the code itself says enough.
      format = new Intl.NumberFormat('en', places);
    }
    moneyFormats.set(currency, format);
  }
  return format.format(value);
}

/** Milliseconds of `YYYY-MM-DD hh:mm:ss.mmm` in UTC, as ClickHouse writes it, or of an ISO instant. */
export function parseTime(text: string): number {
  return Date.parse(text.includes('T') ? text : `${text.replace(' ', 'T')}Z`);
}

const timeFormats = new Map<string, Intl.DateTimeFormat>();

/** `2026-11-21 07:03:05` in the zone. */
export function formatTime(ms: number, zone: string): string {
  if (Number.isNaN(ms)) return '';
  let format = timeFormats.get(zone);
  if (format === undefined) {
    // The Swedish locale writes dates as ISO does.
    format = new Intl.DateTimeFormat('sv-SE', {
      timeZone: zone,
      dateStyle: 'short',
      timeStyle: 'medium',
    });
    timeFormats.set(zone, format);
  }
  return format.format(ms);
}

export function formatDuration(ms: number): string {
  const seconds = Math.max(0, ms) / 1_000;
  if (seconds < 1) return `${Math.round(ms)} ms`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3_600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

export function formatBytes(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${Math.round(bytes / 1_000)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** `hit_time` → `Hit time`; ids keep their capitals. */
export function labelOf(column: string): string {
  const known = LABELS.get(column);
  if (known !== undefined) return known;
  const words = column
    .replaceAll('_', ' ')
    .replace(/\bid\b/, 'ID')
    .replace(/(\d)$/, ' $1');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const LABELS: ReadonlyMap<string, string> = new Map([
  ['hit_time', 'Time'],
  ['offer_id', 'Offer'],
  ['goal_id', 'Goal'],
  ['affiliate_id', 'Affiliate'],
  ['advertiser_id', 'Advertiser'],
  ['verdict_code', 'Code'],
  ['conv_status', 'Status'],
  ['adv_order_id', 'Order ID'],
  ['adv_user_id', 'Advertiser’s user ID'],
  ['aff_click_id', 'Affiliate’s click ID'],
  ['blocking_transaction_id', 'Blocked by'],
  ['promo_code', 'Promo Code'],
  ['cr', 'CR'],
  ['ip', 'IP'],
  ['visitor_ip', 'Visitor IP'],
  ['os', 'OS'],
  ['idfa', 'IDFA'],
  ['gaid', 'GAID'],
]);
