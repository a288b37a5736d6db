/** A shop's own site for browser tests: pages that are put in, `sluice.js` hosted as the snippet says. Loopback only. */
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { projectPath } from '../../src/project-root.ts';

export interface Shop {
  readonly port: number;
  /** `127.0.0.1` is the same site as the tracker of a test, `localhost` another one: third-party to it. */
  url(path: string, host?: '127.0.0.1' | 'localhost'): string;
  setPage(path: string, body: string): void;
  close(): Promise<void>;
}

export async function startShop(): Promise<Shop> {
  const pages = new Map<string, string>();
  const script = readFileSync(projectPath('web/public/sluice.js'), 'utf8');
  const server = createServer((request, response) => {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    if (path === '/sluice.js') {
      response.writeHead(200, { 'content-type': 'text/javascript' }).end(script);
      return;
    }
    const body = pages.get(path);
    response
      .writeHead(body === undefined ? 404 : 200, { 'content-type': 'text/html; charset=utf-8' })
      .end(
        `<!doctype html><html lang="en"><title>Shop</title><body>${body ?? 'no such page'}</body></html>`,
      );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const { port } = address;
  return {
    port,
    url: (path, host = '127.0.0.1') => `http://${host}:${port}${path}`,
    setPage: (path, body) => pages.set(path, body),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
