/**
 * The load generator, a process of its own: open loop. Request i is due at start + i / rate, whatever the server does;
 * its latency counts from then, so a stall shows in every request that it delayed. Raw sockets, kept alive, one request
 * in flight on each; what is due and finds no free socket waits, and that wait is in its latency.
 */
import { connect, type Socket } from 'node:net';
import { createRequests } from './requests.ts';
import { createHistogram } from './histogram.ts';
import type { LoadPlan, LoadProgress, LoadResult } from './plan.ts';

const TICK_MS = 1;
const PROGRESS_MS = 200;
const READ_BYTES = 16 * 1024;
/** After the last request was due, answers are waited for this long. */
const PATIENCE_MS = 10_000;
const HEADER_END = Buffer.from('\r\n\r\n');
const CONTENT_LENGTH = /content-length: *(\d+)/i;

interface Connection {
  readonly socket: Socket;
  /** When the request in flight was due; undefined: idle. */
  dueMs: number | undefined;
  mark: string;
  /** Bytes of the answer that are still to come; 0: at its start. */
  missing: number;
  /** The answer that is coming is a success. */
  good: boolean;
  closed: boolean;
  partial: Buffer | undefined;
}

/** Bytes of the answer at the start of `bytes`, or undefined while its head is incomplete. */
function answerLength(bytes: Buffer): number | undefined {
  const end = bytes.indexOf(HEADER_END);
  if (end < 0) return undefined;
  const head = bytes.toString('latin1', 0, end);
  return end + HEADER_END.length + Number(CONTENT_LENGTH.exec(head)?.[1] ?? 0);
}

function isGood(bytes: Buffer): boolean {
  // `HTTP/1.1 2..` or `3..`
  return bytes[9] === 0x32 || bytes[9] === 0x33;
}

export async function runLoad(
  plan: LoadPlan,
  onProgress: (progress: LoadProgress) => void,
): Promise<LoadResult> {
  const makeRequest = createRequests(plan.traffic);
  const histogram = createHistogram();
  const total = Math.round(plan.rate * plan.seconds);
  const msPerRequest = 1000 / plan.rate;
  const idle: Connection[] = [];
  const marks: [string, number][] = [];
  let next = 0;
  let answered = 0;
  let errors = 0;
  let startMs = 0;
  let finish: (() => void) | undefined;
  const all: Connection[] = [];

  function dueCount(): number {
    return Math.min(total, Math.floor((performance.now() - startMs) / msPerRequest) + 1);
  }

  function send(connection: Connection): void {
    const index = next++;
    connection.mark =
      plan.markEvery > 0 && index % plan.markEvery === 0 ? `m${plan.markBase + index}` : '';
    connection.dueMs = startMs + index * msPerRequest;
    connection.socket.write(makeRequest(index, connection.mark), 'latin1');
  }

  function complete(connection: Connection, good: boolean): void {
    const now = performance.now();
    if (good) {
      answered += 1;
      histogram.add((now - (connection.dueMs ?? now)) * 1000);
      if (connection.mark !== '') marks.push([connection.mark, performance.timeOrigin + now]);
    } else errors += 1;
    connection.dueMs = undefined;
    if (!connection.closed) {
      if (next < dueCount()) send(connection);
      else idle.push(connection);
    }
    if (answered + errors >= total) finish?.();
  }

  function receive(connection: Connection, chunk: Buffer): void {
    if (connection.missing > 0) {
      connection.missing -= chunk.length;
      if (connection.missing <= 0) complete(connection, connection.good);
      return;
    }
    const bytes =
      connection.partial === undefined ? chunk : Buffer.concat([connection.partial, chunk]);
    const length = answerLength(bytes);
    if (length === undefined) {
      // The socket's buffer is used again for the next read.
      connection.partial = Buffer.from(bytes);
      return;
    }
    connection.partial = undefined;
    connection.good = isGood(bytes);
    if (bytes.length >= length) complete(connection, connection.good);
    else connection.missing = length - bytes.length;
  }

  function open(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect({
        port: plan.port,
        host: plan.host,
        onread: {
          buffer: Buffer.allocUnsafe(READ_BYTES),
          callback: (read, buffer) => {
            receive(connection, Buffer.from(buffer.buffer, buffer.byteOffset, read));
            return true;
          },
        },
      });
      const connection: Connection = {
        socket,
        dueMs: undefined,
        mark: '',
        missing: 0,
        good: false,
        closed: false,
        partial: undefined,
      };
      socket.setNoDelay(true);
      socket.once('connect', () => {
        idle.push(connection);
        all.push(connection);
        resolve();
      });
      socket.once('error', reject);
      socket.once('close', () => {
        connection.closed = true;
        if (connection.dueMs !== undefined) complete(connection, false);
        const index = idle.indexOf(connection);
        if (index >= 0) idle.splice(index, 1);
        // Nobody is left to send the rest.
        if (all.every(({ closed }) => closed)) finish?.();
      });
    });
  }

  await Promise.all(Array.from({ length: plan.connections }, open));
  const cpuBefore = process.cpuUsage();
  startMs = performance.now();
  let reportedMs = startMs;
  const done = new Promise<void>((resolve) => {
    finish = resolve;
  });
  function tick(): void {
    const now = performance.now();
    const due = dueCount();
    while (next < due) {
      // In turns: a server closes what is idle for ten seconds, and a request that meets the close is no refusal.
      const connection = idle.shift();
      if (connection === undefined) break;
      send(connection);
    }
    if (now - reportedMs >= PROGRESS_MS) {
      reportedMs = now;
      onProgress({ elapsedMs: now - startMs, answered, errors, behind: due - next });
    }
    if (now - startMs > plan.seconds * 1000 + PATIENCE_MS) finish?.();
    else if (answered + errors < total) setTimeout(tick, TICK_MS);
  }
  tick();
  await done;
  const elapsedS = (performance.now() - startMs) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  for (const { socket } of all) socket.destroy();
  return {
    answered,
    errors: errors + (total - answered - errors),
    elapsedS,
    latencyMs: histogram.summary(),
    cpuUsPerRequest: (cpu.user + cpu.system) / Math.max(1, answered),
    cpuShare: (cpu.user + cpu.system) / 1e6 / elapsedS,
    marks,
  };
}

process.on('message', (plan: LoadPlan) => {
  runLoad(plan, (progress) => process.send?.({ progress })).then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ failure: String(error) }),
  );
});
process.send?.('ready');
