/** A reader of `/api/v1/tail`: opens the stream, collects its events, and can be asked what it saw. */
import { expect } from 'vitest';
import type { ApiClient, Row } from './api-client.ts';
import { waitFor } from './wait-for.ts';

export interface Tail {
  events(): Row[];
  hits(): unknown[];
  text(): string;
  /** The server closed the stream. */
  ended(): boolean;
  untilSeen(hitId: unknown): Promise<void>;
  close(): void;
}

function parseEvents(text: string): Row[] {
  return text
    .split('\n\n')
    .map((block) => /^event: verdict\ndata: (.*)$/.exec(block)?.[1])
    .filter((data) => data !== undefined)
    .map((data) => JSON.parse(data) as Row);
}

/** Resolves once the stream is listening. */
export async function openTail(client: ApiClient, query: string): Promise<Tail> {
  const abort = new AbortController();
  const response = await fetch(client.urlOf(`/tail${query}`), {
    headers: { authorization: `Bearer ${client.key}` },
    signal: abort.signal,
  });
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('text/event-stream');
  let text = '';
  let ended = false;
  const decoder = new TextDecoder();
  const read = async (): Promise<void> => {
    for await (const chunk of response.body ?? []) text += decoder.decode(chunk, { stream: true });
  };
  read().then(
    () => (ended = true),
    // Aborted by the test, or cut by the server: either way it is over.
    () => (ended = true),
  );
  await waitFor(() => text.includes(': listening'), {
    timeoutMs: 5_000,
    what: 'the tail to listen',
  });
  return {
    events: () => parseEvents(text),
    hits: () => parseEvents(text).map((event) => event['hit_id']),
    text: () => text,
    ended: () => ended,
    async untilSeen(hitId) {
      await waitFor(() => parseEvents(text).some((event) => event['hit_id'] === hitId), {
        timeoutMs: 5_000,
        what: `hit ${String(hitId)} in the tail`,
      });
    },
    close: () => abort.abort(),
  };
}
