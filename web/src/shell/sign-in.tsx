/** The sign-in page: the only one without a session. */
import { useState, type SubmitEvent } from 'react';
import { messageOf } from '../api/client.ts';
import { useSignIn } from '../api/session.tsx';
import { Field } from '../ui/field.tsx';

export function SignInPage() {
  const signIn = useSignIn();
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);

  async function submit(event: SubmitEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string): string => {
      const value = form.get(name);
      return typeof value === 'string' ? value : '';
    };
    setBusy(true);
    setError('');
    try {
      await signIn(text('login'), text('password'));
    } catch (problem) {
      setError(messageOf(problem));
      setBusy(false);
    }
  }

  return (
    <main className="sign-in">
      <form className="card" onSubmit={(event) => void submit(event)}>
        <h1>
          <img src="/icon.svg" alt="" width="28" height="28" /> Sluice
        </h1>
        <Field label="Name">
          {(input) => (
            <input {...input} name="login" autoComplete="username" autoCapitalize="none" required />
          )}
        </Field>
        <Field label="Password">
          {(input) => (
            <input
              {...input}
              name="password"
              type="password"
              autoComplete="current-password"
              required
            />
          )}
        </Field>
        {error !== '' && (
          <p className="error" role="alert">
            {error}
          </p>
        )}
        <button type="submit" className="button primary" disabled={busy}>
          {busy ? 'Signing in…' : 'Sign in'}
        </button>
      </form>
    </main>
  );
}
