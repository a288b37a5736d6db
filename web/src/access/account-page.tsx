/** One's own account: who one is, and a new password. */
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call } from '../api/client.ts';
import { changeUser, useSession, type Session } from '../api/session.tsx';
import { PageHead } from '../ui/bits.tsx';
import { useErrors } from '../ui/draft.ts';
import { TextField } from '../ui/inputs.tsx';
import { useNotices } from '../ui/notices.tsx';

export function AccountPage() {
  const { user } = useSession();
  const [current, setCurrent] = useState('');
  const [password, setPassword] = useState('');
  const client = useQueryClient();
  const problems = useErrors();
  const notices = useNotices();

  async function save(): Promise<void> {
    problems.clear();
    try {
      const session = await call<Session>('POST', '/session/password', { current, password });
      changeUser(client, session);
      setCurrent('');
      setPassword('');
      notices.tell('Password changed; you are signed out everywhere else');
    } catch (error) {
      problems.take(error);
    }
  }

  return (
    <>
      <PageHead title="Account" />
      <section className="card">
        <dl className="facts">
          <dt>Sign-in name</dt>
          <dd>{user.login}</dd>
          <dt>Name</dt>
          <dd>{user.name}</dd>
          <dt>Role</dt>
          <dd>{user.role}</dd>
        </dl>
      </section>
      <form
        className="card"
        aria-label="Password"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <div className="grid">
          <TextField
            label="Current password"
            type="password"
            value={current}
            onChange={setCurrent}
            error={problems.of('current')}
          />
          <TextField
            label="New password"
            type="password"
            value={password}
            onChange={setPassword}
            error={problems.of('password')}
          />
        </div>
        {problems.general !== '' && (
          <p className="error" role="alert">
            {problems.general}
          </p>
        )}
        <div className="actions">
          <button type="submit" className="button primary">
            Change password
          </button>
        </div>
      </form>
    </>
  );
}
