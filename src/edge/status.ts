/** /healthz (the process lives), /readyz (it can take hits), /metrics (Prometheus). */
import type { Registry } from 'prom-client';
import { messageOf } from '../domain/app-error.ts';
import { assemble, jsonAnswer } from './answers.ts';
import type { Respond } from './uws-adapter.ts';

export function createStatus(deps: {
  readonly registry: Registry;
  /** What keeps the edge from taking hits, in words. */
  readonly problems: () => readonly string[];
}): (path: string, respond: Respond) => boolean {
  function ready(respond: Respond): void {
    const problems = deps.problems();
    const status = problems.length === 0 ? '200 OK' : '503 Service Unavailable';
    respond(jsonAnswer(status, { ready: problems.length === 0, problems }));
  }
  function metrics(respond: Respond): void {
    const { registry } = deps;
    registry.metrics().then(
      (body) => respond(assemble('200 OK', [`Content-Type: ${registry.contentType}`], body)),
      (error: unknown) =>
        respond(jsonAnswer('500 Internal Server Error', { error: messageOf(error) })),
    );
  }
  return (path, respond) => {
    if (path === '/healthz') respond(jsonAnswer('200 OK', { status: 'ok' }));
    else if (path === '/readyz') ready(respond);
    else if (path === '/metrics') metrics(respond);
    else return false;
    return true;
  };
}
