/** Starts the console: theme, query cache, session, routes. */
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { ApiProblem, whenSignedOut } from './api/client.ts';
import { changeUser } from './api/session.tsx';
import { App } from './app.tsx';
import { applyTheme, readTheme } from './shell/theme.ts';
import { NoticesProvider } from './ui/notices.tsx';
import './styles/base.css';
import './styles/shell.css';
import './styles/pages.css';

const RETRIES = 2;

const client = new QueryClient({
  defaultOptions: {
    queries: {
      refetchOnWindowFocus: false,
      // What the API refused, it refuses again; what did not answer may answer next time.
      retry: (count, error) =>
        count < RETRIES &&
        !(error instanceof ApiProblem && error.status >= 400 && error.status < 500),
    },
  },
});
whenSignedOut(() => changeUser(client, null));
applyTheme(readTheme());

const root = document.getElementById('root');
if (root === null) throw new Error('the page has no #root');
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <NoticesProvider>
        <App />
      </NoticesProvider>
    </QueryClientProvider>
  </StrictMode>,
);
