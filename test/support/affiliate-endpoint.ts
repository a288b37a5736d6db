/** An affiliate's server: keeps every call, and answers as the test says. */
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedCall {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export type Answer = (
  response: ServerResponse,
  call: ReceivedCall,
  request: IncomingMessage,
) => void;

export interface AffiliateEndpoint {
  readonly url: string;
  readonly port: number;
  readonly calls: readonly ReceivedCall[];
  callsTo(path: string): readonly ReceivedCall[];
  /** How the path is answered from now on; without: 200 `ok`. */
  answer(path: string, answer: Answer): void;
  close(): Promise<void>;
}

const ok: Answer = (response) => void response.end('ok');

export async function startAffiliateEndpoint(host = '127.0.0.1'): Promise<AffiliateEndpoint> {
  const calls: ReceivedCall[] = [];
  const answers = new Map<string, Answer>();
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://endpoint');
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const { pathname: path, searchParams: query } = url;
      const call = { method: request.method ?? '', path, query, headers: request.headers, body };
      calls.push(call);
      (answers.get(path) ?? ok)(response, call, request);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  // A TCP server has such an address.
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${host}:${port}`,
    port,
    calls,
    callsTo: (path) => calls.filter((call) => call.path === path),
    answer: (path, answer) => void answers.set(path, answer),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
