/** An advertiser's security token: made here, shown once, only its hash is stored. */
import { useState } from 'react';
import type { Advertiser } from '../api/catalogue.ts';
import { useChange } from '../api/catalogue.ts';
import { CopyBox } from '../ui/bits.tsx';
import { Toggle } from '../ui/field.tsx';
import { useNotices } from '../ui/notices.tsx';

const TOKEN_BYTES = 24;

function makeToken(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(TOKEN_BYTES));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function TokenCard({ advertiser }: { advertiser: Advertiser }) {
  const [token, setToken] = useState('');
  const change = useChange();
  const notices = useNotices();
  const patch = (body: object) =>
    change.mutateAsync({ method: 'PATCH', kind: 'advertisers', id: String(advertiser.id), body });

  async function regenerate(): Promise<void> {
    const text =
      'Calls with the old token are rejected as Incorrect Advertiser Security Token from now on. This can’t be undone.';
    if (
      advertiser.has_token &&
      !(await notices.confirm('Make a new token?', text, 'Make a new token'))
    )
      return;
    const made = makeToken();
    await patch({ token: made }).then(() => setToken(made), notices.fail);
  }

  async function setRequired(require_token: boolean): Promise<void> {
    await patch({ require_token }).then(
      () => notices.tell('Saved', () => patch({ require_token: !require_token })),
      notices.fail,
    );
  }

  return (
    <section className="card">
      <h2>Security token</h2>
      <p className="hint">
        Sent as <code>token</code>: with it, calls may set payout, revenue and status, and change
        transactions.
      </p>
      <Toggle
        label="Every conversion call needs the token"
        checked={advertiser.require_token}
        disabled={!advertiser.has_token && !advertiser.require_token}
        onChange={(on) => void setRequired(on)}
      />
      {token !== '' && (
        <CopyBox
          label="token"
          text={token}
          note="Shown once: it can’t be read again, only made anew."
        />
      )}
      <div className="actions">
        <button
          type="button"
          className="button"
          disabled={change.isPending}
          onClick={() => void regenerate()}
        >
          {advertiser.has_token ? 'Make a new token' : 'Make a token'}
        </button>
      </div>
    </section>
  );
}
