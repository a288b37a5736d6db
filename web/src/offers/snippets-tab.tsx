/** Offer → Snippets: postbacks and pixels to copy, for a chosen goal, and the first-party script. */
import { useState } from 'react';
import type { Offer } from '../../../src/domain/catalogue.ts';
import { useCatalogue } from '../api/catalogue.ts';
import { useSession } from '../api/session.tsx';
import { CopyBox } from '../ui/bits.tsx';
import { ChoiceField } from '../ui/inputs.tsx';
import { conversionSnippets, promoSnippets } from './snippets.ts';

export function SnippetsTab({ offer }: { offer: Offer }) {
  const { tracking_url } = useSession();
  const goals = (useCatalogue('goals').data ?? []).filter((goal) => goal.offer_id === offer.id);
  const [chosen, setChosen] = useState('');
  const goal =
    goals.find(({ id }) => String(id) === chosen) ?? goals.find((one) => one.default) ?? goals[0];
  return (
    <>
      {goals.length > 0 && (
        <div className="filters">
          <ChoiceField
            label="Goal"
            value={String(goal?.id ?? '')}
            options={goals.map(
              ({ id, alias, title }) =>
                [String(id), `${title === '' ? alias : title} #${id}`] as const,
            )}
            onChange={setChosen}
          />
          <a className="button" href="/sluice.js" download>
            Download sluice.js
          </a>
        </div>
      )}
      <div className="columns">
        <section className="card">
          <h2>Conversions by click</h2>
          {conversionSnippets(tracking_url, offer, goal).map((snippet) => (
            <CopyBox key={snippet.label} {...snippet} />
          ))}
        </section>
        <section className="card">
          <h2>Conversions by promo code</h2>
          {!offer.promo_codes_enabled && (
            <p className="callout">
              Promo Codes are off for this offer: these calls are rejected until they are on.
            </p>
          )}
          {promoSnippets(tracking_url, offer).map((snippet) => (
            <CopyBox key={snippet.label} {...snippet} />
          ))}
        </section>
      </div>
    </>
  );
}
