/**
 * The gate alone: verdicts a second on one Redis core, every rule on, judge and apply; beside the same rules as one
 * pipelined command sequence a hit. The log in ClickHouse is left out here: the pipeline rows have it.
 */
import { FULL_IPS } from '../../src/domain/ip-storage.ts';
import { connect } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { pino } from 'pino';
import { createCatalogueSnapshot, EMPTY_CATALOGUE } from '../../src/domain/catalogue.ts';
import {
  claimantOf,
  LANE_COUNT,
  type GateRequest,
  type GateRules,
} from '../../src/domain/gate-request.ts';
import { createRedisKeys } from '../../src/redis/keys.ts';
import type { ClaimNames, GateEvent } from '../../workers/gate/claims.ts';
import type { LaneLog } from '../../workers/gate/lane-log.ts';
import { createLaneState } from '../../workers/gate/lane-state.ts';
import { OFFER_IDS, visitorIp } from '../load/requests.ts';
import { count, fixed, percent, spreadText } from '../paper/numbers.ts';
import type { Measurement, Result, Settings } from '../paper/result.ts';
import { ratios, spread } from '../paper/statistics.ts';
import { gateCommands } from '../peers/gate-commands.ts';
import { besideServer, GENERATOR_CORE, SERVER_CORE } from '../stage/cores.ts';
import { cpuMs } from '../stage/processes.ts';
import { startRedis } from '../stage/stack.ts';

/** Calls a block: what a lane writer merges at full load. */
const BLOCK_CALLS = 2_000;
/** Hits on their way at once for the pipelined commands, each on a connection of its own: as many handlers at work. */
const PEER_CONNECTIONS = 64;
const CAP = 1_000_000_000;
const AFFILIATES = 4;
const DAY_MS = 86_400_000;

const RULES: GateRules = {
  oncePerClick: true,
  uniqueOrderId: false,
  uniqueIpWindow: 'day',
  uniqueTrackId: true,
  caps: { daily: CAP, monthly: CAP, total: CAP },
  affiliateCaps: null,
  timezone: 'UTC',
};

interface Rate {
  readonly perSecond: number;
  /** Verdicts a second of Redis' own CPU time. */
  readonly perRedisSecond: number;
  readonly redisShare: number;
}

function uuid(number: number): string {
  return `01980000-0000-7000-8000-${number.toString(16).padStart(12, '0')}`;
}

function requestOf(lane: number, number: number, nowMs: number): GateRequest {
  const offerId = OFFER_IDS[lane % OFFER_IDS.length] ?? OFFER_IDS[0];
  return {
    hitId: uuid(number),
    hitTimeMs: nowMs,
    offerId,
    goalId: 100 + offerId,
    affiliateId: 1 + (number % AFFILIATES),
    clickId: number.toString(16).padStart(32, '0'),
    orderId: `O-${number}`,
    trackId: `t-${number}`,
    uniqueIp: visitorIp(number),
    rules: RULES,
    mode: 'create',
    targetTransactionId: '',
    targetInBlock: false,
    release: undefined,
  };
}

function eventOf(request: GateRequest, names: ClaimNames | undefined): GateEvent {
  const judged = names && { request, names };
  return { conversion: claimantOf(request), releasedBy: '', judged };
}

/** A log that holds nothing: only the gate is measured. */
const EMPTY_LOG: LaneLog = {
  ips: FULL_IPS,
  replayed: () => Promise.resolve({ upTo: 0, transactions: new Map() }),
  lastPosition: () => Promise.resolve(0),
  writerOf: () => Promise.resolve(undefined),
  presentChunks: () => Promise.resolve(new Set()),
  eventsAfter: (_from, last) => Promise.resolve({ upTo: last, events: [] }),
};

async function timed(pid: number, verdicts: number, work: () => Promise<void>): Promise<Rate> {
  const cpu = cpuMs(pid);
  const started = performance.now();
  await work();
  const elapsedS = (performance.now() - started) / 1000;
  const redisS = (cpuMs(pid) - cpu) / 1000;
  return {
    perSecond: verdicts / elapsedS,
    perRedisSecond: verdicts / redisS,
    redisShare: redisS / elapsedS,
  };
}

async function runGate(redis: Redis, pid: number, verdicts: number): Promise<Rate> {
  await redis.flushall();
  const lanes = Array.from({ length: LANE_COUNT }, (_, lane) =>
    createLaneState({
      redis,
      keys: createRedisKeys('bench'),
      lane,
      log: EMPTY_LOG,
      snapshotAt: () => Promise.resolve(createCatalogueSnapshot(EMPTY_CATALOGUE)),
      logger: pino({ level: 'silent' }),
    }),
  );
  for (const lane of lanes) await lane.catchUp();
  const perLane = verdicts / LANE_COUNT;
  const now = Date.now();
  return timed(pid, verdicts, async () => {
    await Promise.all(
      lanes.map(async (state, lane) => {
        for (let at = 0; at < perLane; at += BLOCK_CALLS) {
          const requests = Array.from({ length: BLOCK_CALLS }, (_, index) =>
            requestOf(lane, lane * perLane + at + index, now),
          );
          const { position, replies, names } = await state.judge(requests);
          if (replies.some(({ kind }) => kind !== 'accepted'))
            throw new Error('the gate rejected a call that no other had made');
          const rules = new Map(requests.map((request) => [request.offerId, request.rules]));
          const events = requests.map((request, index) => eventOf(request, names[index]));
          await state.applyOwn(position + 1, events, rules);
        }
      }),
    );
  });
}

function encodeCommand(command: readonly string[]): string {
  return `*${command.length}\r\n${command.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`).join('')}`;
}

/** Counts replies: each is an integer on a line of its own. */
function repliesIn(chunk: Buffer): number {
  let replies = 0;
  for (const byte of chunk) if (byte === 10) replies += 1;
  return replies;
}

/** Raw sockets: a client library would be the limit, not Redis. A hit's commands go in one write, the next after its replies. */
async function runCommands(
  redis: Redis,
  port: number,
  pid: number,
  verdicts: number,
): Promise<Rate> {
  await redis.flushall();
  const now = Date.now();
  const day = Math.floor(now / DAY_MS);
  const hits = Array.from({ length: verdicts }, (_, index) => {
    const { uniqueIp, ...request } = requestOf(index % LANE_COUNT, index, now);
    const commands = gateCommands({ ...request, ip: uniqueIp, day });
    return {
      bytes: Buffer.from(commands.map(encodeCommand).join(''), 'latin1'),
      replies: commands.length,
    };
  });
  let next = 0;
  async function handle(): Promise<void> {
    const socket = connect(port, '127.0.0.1').setNoDelay(true);
    await new Promise((resolve) => socket.once('connect', resolve));
    await new Promise<void>((resolve) => {
      let missing = 0;
      const send = (): void => {
        const hit = hits[next++];
        if (hit === undefined) {
          resolve();
          return;
        }
        missing = hit.replies;
        socket.write(hit.bytes);
      };
      socket.on('data', (chunk: Buffer) => {
        missing -= repliesIn(chunk);
        if (missing === 0) send();
      });
      send();
    });
    socket.destroy();
  }
  return timed(pid, verdicts, async () => {
    await Promise.all(Array.from({ length: PEER_CONNECTIONS }, handle));
  });
}

async function run(settings: Settings): Promise<Result> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-bench-gate-'));
  const { redis, url, server } = await startRedis(dir, SERVER_CORE);
  try {
    const port = Number(new URL(url).port);
    const verdicts = settings.quick ? 40_000 : 400_000;
    const ours: Rate[] = [];
    const theirs: Rate[] = [];
    for (let round = 0; round < (settings.quick ? 2 : 5); round++) {
      ours.push(await runGate(redis, server.pid, verdicts));
      theirs.push(await runCommands(redis, port, server.pid, verdicts));
    }
    const byCpu = (list: readonly Rate[]): number[] => list.map((rate) => rate.perRedisSecond);
    const ratio = ratios(byCpu(ours), byCpu(theirs));
    const ourRate = spread(byCpu(ours));
    const row = (name: string, list: readonly Rate[]): string[] => [
      name,
      spreadText(spread(byCpu(list)), count),
      spreadText(spread(list.map(({ perSecond }) => perSecond)), count),
      percent(spread(list.map(({ redisShare }) => redisShare)).median),
    ];
    return {
      title: 'Gate alone',
      method: `Redis (append-only, synced each second) on core ${SERVER_CORE}, the client on core ${GENERATOR_CORE}. Every call is accepted and claims: click, address of the day, track id, order id, three caps each of goal and affiliate. The gate judges and applies blocks of ${count(BLOCK_CALLS)} in ${LANE_COUNT} lanes; the peer sends the nine commands of a hit in one write and the next hit after their replies, on ${PEER_CONNECTIONS} raw sockets. A verdict is final only after both judge and apply; the peer's can race between its commands. Rates are a second of Redis' CPU time, so that neither client is the limit; wall rates beside them.`,
      findings: [
        {
          what: 'gate alone, verdicts a second on one Redis core',
          measured: spreadText(ourRate, count),
          peer: `pipelined commands: ${spreadText(spread(byCpu(theirs)), count)}`,
          ratio: `${spreadText(ratio, fixed)} ×`,
          target: '≥ 60,000 and ≥ 5 ×',
          moonshot: '120,000',
          met: ourRate.median >= 60_000 && ratio.median >= 5,
        },
      ],
      tables: [
        {
          columns: [
            'gate',
            "verdicts / s of Redis' CPU",
            'verdicts / s by the clock',
            "Redis' core",
          ],
          rows: [row('Sluice', ours), row('pipelined commands', theirs)],
        },
      ],
      charts: [],
    };
  } finally {
    redis.disconnect();
    await server.stop('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  }
}

export const gate: Measurement = {
  name: 'gate',
  run: (settings) => besideServer(() => run(settings)),
};
