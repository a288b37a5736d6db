/** Verdicts as they happen, over server-sent events; filtered by the API. The newest few hundred are kept. */
import { useEffect, useState } from 'react';
import { useCatalogue, useNames } from '../api/catalogue.ts';
import { useSession } from '../api/session.tsx';
import { ExplainDrawer } from '../explain/explain-drawer.tsx';
import { formatTime } from '../format.ts';
import { useZone } from '../period.ts';
import { Badge } from '../ui/bits.tsx';
import { ChoiceField, TextField } from '../ui/inputs.tsx';
import { Empty } from '../ui/states.tsx';

interface VerdictEvent {
  readonly hit_id: string;
  readonly hit_time: string;
  readonly endpoint: string;
  readonly offer_id: number;
  readonly affiliate_id: number;
  readonly verdict: string;
  readonly title: string;
  readonly detail: string;
  readonly ip: string;
}

const EVENTS_MAX = 300;
const RETRY_MS = 3_000;

type Connection = 'connecting' | 'listening' | 'lost';

function useTail(
  search: string,
  paused: boolean,
): { events: readonly VerdictEvent[]; state: Connection } {
  const [events, setEvents] = useState<readonly VerdictEvent[]>([]);
  const [state, setState] = useState<Connection>('connecting');
  useEffect(() => {
    if (paused) return undefined;
    let source: EventSource | undefined;
    let again: ReturnType<typeof setTimeout> | undefined;
    function connect(): void {
      const opened = new EventSource(`/api/v1/tail${search === '' ? '' : `?${search}`}`);
      source = opened;
      opened.addEventListener('open', () => setState('listening'));
      opened.addEventListener('error', () => {
        setState('lost');
        // The browser connects again by itself, but not after an answer that is an error.
        if (opened.readyState === EventSource.CLOSED) again = setTimeout(connect, RETRY_MS);
      });
      opened.addEventListener('verdict', (message: MessageEvent<string>) => {
        const event = JSON.parse(message.data) as VerdictEvent;
        setEvents((held) => [event, ...held].slice(0, EVENTS_MAX));
      });
    }
    connect();
    return () => {
      clearTimeout(again);
      source?.close();
    };
  }, [search, paused]);
  return { events, state };
}

const STATES: Readonly<Record<Connection, string>> = {
  connecting: 'Connecting…',
  listening: 'Listening: what is judged from now on appears here',
  lost: 'The connection was lost; trying again',
};

function EventTable({
  events,
  onWhy,
}: {
  events: readonly VerdictEvent[];
  onWhy: (hitId: string) => void;
}) {
  const nameOf = useNames();
  const zone = useZone();
  return (
    <section className="table-frame report-frame" tabIndex={0} aria-label="Verdicts">
      <table>
        <thead>
          <tr>
            <th scope="col">
              <span className="visually-hidden">Explanation</span>
            </th>
            <th scope="col">Time ({zone})</th>
            <th scope="col">Verdict</th>
            <th scope="col">Detail</th>
            <th scope="col">Endpoint</th>
            <th scope="col">Offer</th>
            <th scope="col">Affiliate</th>
            <th scope="col">IP</th>
          </tr>
        </thead>
        <tbody>
          {events.map((event) => (
            <tr key={event.hit_id}>
              <td>
                <button type="button" className="button small" onClick={() => onWhy(event.hit_id)}>
                  Why?
                </button>
              </td>
              <td>{formatTime(Date.parse(event.hit_time), zone)}</td>
              <td>
                <Badge
                  value={event.title === '' ? event.verdict : event.title}
                  tone={event.verdict === 'accepted' ? 'good' : 'bad'}
                />
              </td>
              <td className="wrap">{event.detail}</td>
              <td>{event.endpoint}</td>
              <td>
                {nameOf('offer_id', event.offer_id)} #{event.offer_id}
              </td>
              <td>#{event.affiliate_id}</td>
              <td className="mono">{event.ip}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Verdicts(props: { search: string; paused: boolean; onWhy: (hitId: string) => void }) {
  const { events, state } = useTail(props.search, props.paused);
  return (
    <>
      <p className="summary" role="status">
        {props.paused ? 'Paused' : STATES[state]}
      </p>
      {events.length === 0 ? (
        <Empty title="Nothing yet">Send a postback, or use a test click.</Empty>
      ) : (
        <EventTable events={events} onWhy={props.onWhy} />
      )}
    </>
  );
}

export function LiveTail() {
  const { user } = useSession();
  const offers = useCatalogue('offers').data ?? [];
  const advertisers = useCatalogue('advertisers').data ?? [];
  const [offer, setOffer] = useState('');
  const [advertiser, setAdvertiser] = useState('');
  const [ip, setIp] = useState('');
  const [paused, setPaused] = useState(false);
  const [why, setWhy] = useState('');
  const zone = useZone();
  const filters = { offer_id: offer, advertiser_id: advertiser, ip: ip.trim() };
  const search = new URLSearchParams(
    Object.entries(filters).filter(([, value]) => value !== ''),
  ).toString();
  return (
    <>
      <div className="filters">
        <ChoiceField
          label="Offer"
          value={offer}
          options={[
            ['', 'any'],
            ...offers.map(({ id, title }) => [String(id), `${title} #${id}`] as const),
          ]}
          onChange={setOffer}
        />
        {user.role === 'manager' && (
          <ChoiceField
            label="Advertiser"
            value={advertiser}
            options={[
              ['', 'any'],
              ...advertisers.map(({ id, name }) => [String(id), `${name} #${id}`] as const),
            ]}
            onChange={setAdvertiser}
          />
        )}
        <TextField label="IP" value={ip} onChange={setIp} placeholder="any" />
        <button type="button" className="button" onClick={() => setPaused(!paused)}>
          {paused ? 'Go on' : 'Pause'}
        </button>
      </div>
      {/* Rows of other filters are not these. */}
      <Verdicts key={search} search={search} paused={paused} onWhy={setWhy} />
      {why !== '' && <ExplainDrawer hitId={why} zone={zone} onClose={() => setWhy('')} />}
    </>
  );
}
