/** Who is signed in, for every component below; outside of it there is only the sign-in page. */
import { useQuery, useQueryClient, type QueryClient } from '@tanstack/react-query';
import { createContext, useCallback, useContext, type ReactNode } from 'react';
import type { User } from '../../../src/domain/user.ts';
import { ApiProblem, call, get, setCsrfToken } from './client.ts';

export interface Session {
  readonly user: User;
  readonly csrf_token: string;
  readonly tracking_url: string;
}

const SessionContext = createContext<Session | null>(null);
const SESSION_KEY = ['session'];

async function readSession(): Promise<Session | null> {
  try {
    const session = await get<Session>('/session');
    setCsrfToken(session.csrf_token);
    return session;
  } catch (error) {
    if (error instanceof ApiProblem && error.status === 401) return null;
    throw error;
  }
}

/** Null: nobody is signed in. */
export function useSessionQuery() {
  return useQuery({ queryKey: SESSION_KEY, queryFn: readSession, staleTime: Infinity });
}

export function SessionProvider({ session, children }: { session: Session; children: ReactNode }) {
  return <SessionContext value={session}>{children}</SessionContext>;
}

export function useSession(): Session {
  const session = useContext(SessionContext);
  if (session === null) throw new Error('used outside of a session');
  return session;
}

/** Nothing that one user read may be shown to the next. */
export function changeUser(client: QueryClient, session: Session | null): void {
  if (session !== null) setCsrfToken(session.csrf_token);
  client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== SESSION_KEY[0] });
  client.setQueryData(SESSION_KEY, session);
}

export function useSignIn() {
  const client = useQueryClient();
  return useCallback(
    async (login: string, password: string) => {
      const session = await call<Session>('POST', '/session', { login, password });
      changeUser(client, session);
    },
    [client],
  );
}

export function useSignOut() {
  const client = useQueryClient();
  return useCallback(async () => {
    await call('DELETE', '/session');
    changeUser(client, null);
  }, [client]);
}
