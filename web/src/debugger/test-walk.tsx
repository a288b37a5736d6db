/**
 * The testing walk of the trade's manuals for one offer: click recorded → conversion on the advertiser's side →
 * postback received → verdict. Real calls through the tracking front; each step is ticked off when it is stored.
 */
import { useQuery } from '@tanstack/react-query';
import { useState, type ReactNode } from 'react';
import type { Goal, Offer } from '../../../src/domain/catalogue.ts';
import { get } from '../api/client.ts';
import { useCatalogue } from '../api/catalogue.ts';
import { useSession } from '../api/session.tsx';
import { ExplainedCallView } from '../explain/explain-view.tsx';
import type { Explanation } from '../explain/types.ts';
import { trackingLink } from '../offers/snippets.ts';
import { useZone } from '../period.ts';
import type { Row } from '../reports/cell.tsx';
import { CopyBox } from '../ui/bits.tsx';
import { ChoiceField, TextField } from '../ui/inputs.tsx';
import { useNotices } from '../ui/notices.tsx';

const POLL_MS = 700;

function Step(props: {
  state: 'waiting' | 'done' | 'failed';
  title: string;
  children?: ReactNode;
}) {
  const mark = { waiting: '○', done: '✓', failed: '✗' }[props.state];
  return (
    <li className={props.state} data-state={props.state}>
      <span className="mark" aria-hidden="true">
        {mark}
      </span>
      <div>
        <h3>
          {props.title}{' '}
          <span className="hint">{props.state === 'waiting' ? 'waiting' : props.state}</span>
        </h3>
        {props.children}
      </div>
    </li>
  );
}

function postbackUrl(trackingUrl: string, clickId: string, goal: Goal | undefined): string {
  const goalPart = goal === undefined ? '' : `&goal_id=${goal.id}`;
  return `${trackingUrl}/track/goal-by-click-id?click_id=${clickId}${goalPart}&amount=1&adv_order_id=test-${clickId.slice(0, 8)}`;
}

/** What is stored under the click: asked again until the call is there. */
function useProgress(clickId: string) {
  const click = useQuery({
    queryKey: ['walk', 'click', clickId],
    queryFn: ({ signal }) =>
      get<{ rows: Row[] }>(`/reports/clicks?click_id=${clickId}&limit=1`, signal),
    refetchInterval: (query) => ((query.state.data?.rows.length ?? 0) > 0 ? false : POLL_MS),
  });
  const isStored = (click.data?.rows.length ?? 0) > 0;
  const explanation = useQuery({
    queryKey: ['walk', 'calls', clickId],
    enabled: isStored,
    queryFn: ({ signal }) => get<Explanation>(`/explain?click_id=${clickId}`, signal),
    refetchInterval: POLL_MS,
  });
  return { isStored, calls: explanation.data?.calls ?? [] };
}

function Walk(props: { offer: Offer; goal: Goal | undefined; clickId: string }) {
  const { offer, goal, clickId } = props;
  const { tracking_url } = useSession();
  const { isStored, calls } = useProgress(clickId);
  const [sent, setSent] = useState(false);
  const zone = useZone();
  const notices = useNotices();
  const call = calls.at(-1);
  const landing = offer.url.replaceAll('{click_id}', clickId);
  const postback = postbackUrl(tracking_url, clickId, goal);
  const received = call !== undefined;

  async function sendPostback(): Promise<void> {
    // As the advertiser's server would: without the browser's cookies.
    await fetch(postback, { credentials: 'omit' }).then(() => setSent(true), notices.fail);
  }

  return (
    <>
      <ol className="steps card" aria-label="Testing steps">
        <Step state={isStored ? 'done' : 'waiting'} title="Click recorded">
          <p className="mono">{clickId}</p>
        </Step>
        <Step
          state={sent || received ? 'done' : 'waiting'}
          title="Conversion on the advertiser’s side"
        >
          <p>
            Open the{' '}
            <a href={landing} target="_blank" rel="noreferrer">
              landing page with this click
            </a>{' '}
            and make a test conversion there, or send the postback yourself, from this browser:
          </p>
          <CopyBox label="postback" text={postback} />
          <button
            type="button"
            className="button"
            disabled={!isStored}
            onClick={() => void sendPostback()}
          >
            Send the postback
          </button>
        </Step>
        <Step state={received ? 'done' : 'waiting'} title="Postback received">
          {sent && !received && <p className="hint">Sent; it is judged within a second or two.</p>}
          {!sent && !received && (
            <p className="hint">
              Nothing with this click id came yet. If the advertiser says it was sent, look at Logs
              → Invalid Traffic: a call with another click id is there.
            </p>
          )}
        </Step>
        <Step
          state={call === undefined ? 'waiting' : call.verdict === 'accepted' ? 'done' : 'failed'}
          title={call === undefined ? 'Verdict' : `Verdict: ${call.title}`}
        />
      </ol>
      {call !== undefined && <ExplainedCallView call={call} zone={zone} />}
    </>
  );
}

export function TestWalk() {
  const { user, tracking_url } = useSession();
  const offers = useCatalogue('offers').data ?? [];
  const affiliates = useCatalogue('affiliates').data ?? [];
  const goals = useCatalogue('goals').data ?? [];
  const [offerId, setOfferId] = useState('');
  const [affiliateId, setAffiliateId] = useState('');
  const [goalId, setGoalId] = useState('');
  const [clickId, setClickId] = useState('');
  const notices = useNotices();
  const offer = offers.find(({ id }) => String(id) === offerId) ?? offers[0];
  const own = goals.filter((goal) => goal.offer_id === offer?.id);
  const goal = own.find(({ id }) => String(id) === goalId);
  const affiliate = affiliateId === '' ? String(affiliates[0]?.id ?? '') : affiliateId;

  async function click(): Promise<void> {
    if (offer === undefined) return;
    const link = trackingLink(tracking_url, {
      offerId: offer.id,
      affiliateId: Number(affiliate),
      deepLink: '',
      parameters: { source: 'debugger', return: 'click_id' },
    });
    try {
      const response = await fetch(link, { credentials: 'omit' });
      const body = (await response.json()) as {
        click_id?: string;
        title?: string;
        detail?: string;
      };
      if (body.click_id === undefined)
        notices.fail(new Error(`${body.title ?? 'refused'}: ${body.detail ?? ''}`));
      else setClickId(body.click_id);
    } catch {
      notices.fail(new Error(`the tracking front at ${tracking_url} does not answer`));
    }
  }

  return (
    <>
      <form
        className="filters"
        aria-label="Test"
        onSubmit={(event) => {
          event.preventDefault();
          void click();
        }}
      >
        <ChoiceField
          label="Offer"
          value={String(offer?.id ?? '')}
          options={offers.map(({ id, title }) => [String(id), `${title} #${id}`] as const)}
          onChange={(id) => {
            setOfferId(id);
            setGoalId('');
            setClickId('');
          }}
        />
        {user.role === 'manager' ? (
          <ChoiceField
            label="Affiliate"
            value={affiliate}
            options={affiliates.map(({ id, name }) => [String(id), `${name} #${id}`] as const)}
            onChange={setAffiliateId}
          />
        ) : (
          <TextField label="Affiliate ID" value={affiliateId} onChange={setAffiliateId} />
        )}
        <ChoiceField
          label="Goal"
          value={goalId}
          options={[
            ['', 'default'],
            ...own.map(
              ({ id, alias, title }) => [String(id), title === '' ? alias : title] as const,
            ),
          ]}
          onChange={setGoalId}
        />
        <button
          type="submit"
          className="button primary"
          disabled={offer === undefined || affiliate === ''}
        >
          Send a test click
        </button>
      </form>
      {offer !== undefined && clickId !== '' && (
        <Walk key={clickId} offer={offer} goal={goal} clickId={clickId} />
      )}
    </>
  );
}
