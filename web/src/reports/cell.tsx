/** One value of a report, formatted by its column: times in the zone, money with its currency, ids with names and links. */
import { Link } from 'wouter';
import type { NameOf } from '../api/catalogue.ts';
import { formatMoney, formatTime, parseTime } from '../format.ts';
import { Badge } from '../ui/bits.tsx';
import type { Column } from './columns.ts';

export type Row = Readonly<Record<string, unknown>>;

const PAGES: Readonly<Record<string, string>> = {
  offer_id: '/offers',
  affiliate_id: '/affiliates',
  advertiser_id: '/advertisers',
};
/** Hits that a row names, and whose explanation is a page. */
const HITS = new Set(['replayed_from', 'replayed_as']);
const MONOSPACED = new Set([
  'hit_id',
  'click_id',
  'transaction_id',
  'blocking_transaction_id',
  'postback_id',
  'attempt_id',
  'url',
  'query',
  'body',
  'ip',
]);

const OUTCOME_TONES: Readonly<Record<string, string>> = {
  sent: 'good',
  retry: 'wait',
  requested: 'wait',
  failed: 'bad',
  refused: 'bad',
};

export function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}

function IdCell({
  name,
  id,
  nameOf,
  linked,
}: {
  name: string;
  id: number;
  nameOf: NameOf;
  linked: boolean;
}) {
  if (id === 0) return <span className="hint">—</span>;
  const label = nameOf(name, id);
  const text = label === '' ? `#${id}` : `${label} #${id}`;
  const page = PAGES[name];
  return linked && page !== undefined && label !== '' ? (
    <Link href={`${page}/${id}`}>{text}</Link>
  ) : (
    text
  );
}

export function Cell(props: {
  column: Column;
  row: Row;
  zone: string;
  nameOf: NameOf;
  /** Whether ids lead to their pages. */
  linked: boolean;
}) {
  const { column, row, zone, nameOf, linked } = props;
  const { name, type } = column;
  const value = row[name];
  if (value === null || value === undefined || value === '') return <span className="hint">—</span>;
  if (type === 'DateTime') return <time>{formatTime(parseTime(textOf(value)), zone)}</time>;
  if (type === 'Decimal') return formatMoney(Number(value), textOf(row['currency']));
  if (name.endsWith('_id') && type === 'UInt32')
    return <IdCell name={name} id={Number(value)} nameOf={nameOf} linked={linked} />;
  if (name === 'outcome')
    return <Badge value={textOf(value)} tone={OUTCOME_TONES[textOf(value)]} />;
  if (name === 'conv_status' || name === 'verdict')
    return (
      <Badge
        value={textOf(value)}
        tone={name === 'verdict' && value !== 'accepted' ? 'bad' : undefined}
      />
    );
  if (HITS.has(name))
    return (
      <Link className="mono" href={`/why/hit_id/${textOf(value)}`}>
        {textOf(value)}
      </Link>
    );
  if (MONOSPACED.has(name)) return <span className="mono">{textOf(value)}</span>;
  return textOf(value);
}
