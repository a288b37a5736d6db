/**
 * What people use today, the front half: bare uWebSockets.js that puts one BullMQ job a hit into Redis and answers when
 * Redis has it. Adds are pipelined by ioredis; finished jobs are removed; nothing else is done for a hit.
 */
import { randomUUID } from 'node:crypto';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import uWS, { type HttpRequest, type HttpResponse } from 'uWebSockets.js';
import { PEER_QUEUE, type PeerJob } from './job-per-hit.ts';

const [port, redisUrl] = [Number(process.argv[2]), process.argv[3] ?? ''];
const queue = new Queue<PeerJob>(PEER_QUEUE, {
  connection: new Redis(redisUrl, { maxRetriesPerRequest: null, enableAutoPipelining: true }),
  skipVersionCheck: true,
  defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
});

function store(response: HttpResponse, job: PeerJob, answer: () => void): void {
  let aborted = false;
  response.onAborted(() => {
    aborted = true;
  });
  queue.add('hit', job).then(
    () => {
      if (!aborted) response.cork(answer);
    },
    () => {
      if (!aborted) response.cork(() => response.writeStatus('503 Service Unavailable').end(''));
    },
  );
}

function jobOf(request: HttpRequest, kind: PeerJob['kind'], id: string): PeerJob {
  return {
    kind,
    id,
    at: Date.now(),
    query: request.getQuery() ?? '',
    ip: request.getHeader('x-forwarded-for'),
    userAgent: request.getHeader('user-agent'),
    referer: request.getHeader('referer'),
  };
}

const app = uWS.App();
app.get('/click', (response, request) => {
  const id = randomUUID();
  store(response, jobOf(request, 'click', id), () => {
    response.writeStatus('302 Found');
    response.writeHeader('Location', `https://shop.example/landing?cid=${id}`);
    response.writeHeader('Set-Cookie', `click=${id}; Path=/`);
    response.end('');
  });
});
app.get('/track/goal-by-click-id', (response, request) => {
  const id = randomUUID();
  store(response, jobOf(request, 'conversion', id), () => {
    response.writeHeader('Content-Type', 'application/json');
    response.end(`{"status":"accepted","hit_id":"${id}"}`);
  });
});
app.listen('127.0.0.1', port, (socket) => {
  if (socket === false) throw new Error(`port ${port} is taken`);
  process.send?.('ready');
});
