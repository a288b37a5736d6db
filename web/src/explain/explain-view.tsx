/** Why a call got its verdict: timeline from click to verdict, checks with evidence, the raw request, what to change. */
import { Link } from 'wouter';
import { useNames } from '../api/catalogue.ts';
import { formatDuration, formatMoney, formatTime, parseTime } from '../format.ts';
import { textOf, type Row } from '../reports/cell.tsx';
import { Badge, CopyButton } from '../ui/bits.tsx';
import type { ExplainedCall } from './types.ts';
import { Checks, VerdictCard } from './verdict-card.tsx';

const timeOf = (row: Row, column: string): number => parseTime(textOf(row[column]));

const CHANGED = ['conv_status', 'payout', 'revenue', 'amount', 'currency', 'notes'] as const;

/** Who changed what from what; `conv_status` is the status to everyone. */
function describeEvent(event: Row): string {
  const changes = CHANGED.filter((name) => textOf(event[name]) !== '').map((name) => {
    const before = textOf(event[`previous_${name}`]) || 'nothing';
    return `${name === 'conv_status' ? 'status' : name} ${before} → ${textOf(event[name])}`;
  });
  if (event['released'] === 1) changes.push('released what it held');
  const who = textOf(event['author']);
  const what = changes.length === 0 ? 'nothing changed' : changes.join(', ');
  return who === '' ? what : `${what}, by ${who}`;
}

function Timeline({ call, zone }: { call: ExplainedCall; zone: string }) {
  const { click, row } = call;
  const calledMs = timeOf(row, 'hit_time');
  const clickedMs = click === null ? Number.NaN : timeOf(click, 'click_time');
  return (
    <ol className="timeline" aria-label="Timeline">
      {click !== null && (
        <li>
          <time>{formatTime(clickedMs, zone)}</time>
          Click <span className="mono">{textOf(click['click_id'])}</span> from {textOf(click['ip'])}
        </li>
      )}
      <li>
        <time>{formatTime(calledMs, zone)}</time>
        {textOf(call.request['endpoint'])} received ({textOf(row['channel'])}) from{' '}
        {textOf(row['ip'])}
        {click !== null && `, ${formatDuration(calledMs - clickedMs)} after the click`}
      </li>
      <li>
        <Badge value={call.verdict} tone={call.verdict === 'accepted' ? 'good' : 'bad'} /> judged
        under catalogue version {call.catalogue_version}
      </li>
      {(['replayed_from', 'replayed_as'] as const).map(
        (name) =>
          textOf(row[name]) !== '' && (
            <li key={name}>
              {name === 'replayed_from' ? 'Replays the call' : 'Replayed as'}{' '}
              <Link className="mono" href={`/why/hit_id/${textOf(row[name])}`}>
                {textOf(row[name])}
              </Link>
            </li>
          ),
      )}
      {call.events.map((event) => (
        <li key={textOf(event['hit_id'])}>
          <time>{formatTime(timeOf(event, 'hit_time'), zone)}</time>
          {describeEvent(event)}
        </li>
      ))}
    </ol>
  );
}

const REQUEST_PARTS = [
  'query',
  'body',
  'content_type',
  'cookies',
  'user_agent',
  'referer',
  'ip',
] as const;

function rawRequest(request: Row): string {
  const query = textOf(request['query']);
  const first = `${textOf(request['method'])} ${textOf(request['path'])}${query === '' ? '' : `?${query}`}`;
  const rest = REQUEST_PARTS.filter((name) => name !== 'query' && textOf(request[name]) !== '').map(
    (name) => `${name}: ${textOf(request[name])}`,
  );
  return [first, ...rest].join('\n');
}

function Links({ row }: { row: Row }) {
  const nameOf = useNames();
  const entry = (column: string, page: string, label: string) => {
    const id = Number(row[column]);
    if (id === 0 || Number.isNaN(id)) return null;
    const name = nameOf(column, id);
    return (
      <div key={column}>
        <dt>{label}</dt>
        <dd>{name === '' ? `#${id}` : <Link href={page}>{`${name} #${id}`}</Link>}</dd>
      </div>
    );
  };
  const offer = Number(row['offer_id']);
  return (
    <dl className="facts-list">
      {entry('offer_id', `/offers/${offer}`, 'Offer')}
      {entry('goal_id', `/offers/${offer}/goals`, 'Goal')}
      {entry('affiliate_id', `/affiliates/${Number(row['affiliate_id'])}`, 'Affiliate')}
      {entry('advertiser_id', `/advertisers/${Number(row['advertiser_id'])}`, 'Advertiser')}
    </dl>
  );
}

function Transactions({ call, zone }: { call: ExplainedCall; zone: string }) {
  if (call.transactions.length === 0) return null;
  return (
    <section className="card">
      <h2>Transactions</h2>
      {call.transactions.map((transaction) => (
        <dl className="facts" key={textOf(transaction['transaction_id'])}>
          <dt>
            {transaction['transaction_id'] === call.blocking_transaction_id
              ? 'Holds the slot'
              : 'Made by this call'}
          </dt>
          <dd>
            <Link
              className="mono"
              href={`/why/transaction_id/${textOf(transaction['transaction_id'])}`}
            >
              {textOf(transaction['transaction_id'])}
            </Link>
          </dd>
          <dt>Status</dt>
          <dd>
            <Badge value={textOf(transaction['conv_status'])} />{' '}
            {formatTime(timeOf(transaction, 'hit_time'), zone)}
          </dd>
          <dt>Payout</dt>
          <dd>{formatMoney(Number(transaction['payout']), textOf(transaction['currency']))}</dd>
        </dl>
      ))}
    </section>
  );
}

export function ExplainedCallView({ call, zone }: { call: ExplainedCall; zone: string }) {
  const { row } = call;
  const ids = {
    offer: Number(row['offer_id']),
    affiliate: Number(row['affiliate_id']),
    advertiser: Number(row['advertiser_id']),
  };
  const raw = rawRequest(call.request);
  return (
    <article>
      <VerdictCard verdict={call} ids={ids} />
      <section className="card">
        <h2>From click to verdict</h2>
        <Timeline call={call} zone={zone} />
        <Links row={row} />
      </section>
      <section className="card">
        <h2>Checks in order</h2>
        <Checks checks={call.checks} />
      </section>
      <Transactions call={call} zone={zone} />
      <section className="card">
        <header className="copy-box">
          <h2>Request as received</h2>
          <CopyButton text={raw} label="Copy request" />
        </header>
        <pre tabIndex={0} aria-label="Request as received">
          {raw}
        </pre>
        <p className="hint">
          Hit <span className="mono">{call.hit_id}</span>, tokens are blanked. Times in {zone}.
        </p>
      </section>
    </article>
  );
}

export function ExplainedClickView({ click, zone }: { click: Row; zone: string }) {
  const verdict = {
    verdict: textOf(click['verdict']),
    verdict_code: Number(click['verdict_code']),
    title: textOf(click['title']),
    detail: textOf(click['detail']),
    hint: textOf(click['hint']),
    blocking_transaction_id: '',
  };
  const ids = {
    offer: Number(click['offer_id']),
    affiliate: Number(click['affiliate_id']),
    advertiser: Number(click['advertiser_id']),
  };
  const raw = rawRequest(click);
  return (
    <article>
      <VerdictCard verdict={verdict} ids={ids} />
      <section className="card">
        <h2>Click</h2>
        <p>
          <time>{formatTime(timeOf(click, 'hit_time'), zone)}</time> from {textOf(click['ip'])},{' '}
          {textOf(click['country'])} {textOf(click['device'])} {textOf(click['browser'])}
        </p>
        {textOf(click['click_id']) !== '' && <p className="mono">{textOf(click['click_id'])}</p>}
        <Links row={click} />
        <pre tabIndex={0} aria-label="Request as received">
          {raw}
        </pre>
      </section>
    </article>
  );
}
