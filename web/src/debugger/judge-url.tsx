/** A postback or pixel URL pasted and judged as if it came now: nothing is recorded, nothing is claimed. */
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { call } from '../api/client.ts';
import type { TestJudgement } from '../explain/types.ts';
import { Checks, VerdictCard } from '../explain/verdict-card.tsx';
import { AreaField } from '../ui/inputs.tsx';
import { Failure } from '../ui/states.tsx';

const NO_IDS = { offer: 0, affiliate: 0, advertiser: 0 };

export function JudgeUrl() {
  const [url, setUrl] = useState('');
  const judge = useMutation({
    mutationFn: (text: string) =>
      call<TestJudgement>('POST', '/explain/test', { url: text.trim() }),
  });
  const offer = Number(/[?&]offer_id=(\d+)/.exec(url)?.[1] ?? judge.data?.click?.['offer_id'] ?? 0);
  return (
    <>
      <form
        className="card"
        aria-label="Judge a URL"
        onSubmit={(event) => {
          event.preventDefault();
          judge.mutate(url);
        }}
      >
        <AreaField
          label="Postback or pixel URL"
          value={url}
          onChange={setUrl}
          placeholder="https://track.example/track/goal-by-click-id?click_id=…&amount=49.90"
          hint="Judged as if it came now. It is not recorded and takes no place in any cap"
        />
        <div className="actions">
          <button
            type="submit"
            className="button primary"
            disabled={url.trim() === '' || judge.isPending}
          >
            {judge.isPending ? 'Judging…' : 'Judge'}
          </button>
        </div>
      </form>
      {judge.error !== null && <Failure error={judge.error} />}
      {judge.data !== undefined && (
        <>
          <VerdictCard verdict={judge.data} ids={{ ...NO_IDS, offer }} />
          <section className="card">
            <h2>Checks in order</h2>
            <Checks checks={judge.data.checks} />
          </section>
        </>
      )}
    </>
  );
}
