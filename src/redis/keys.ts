/**
 * The one place where Redis keys are spelled. `prefix` (default 'sluice') keeps instances and test files apart.
 * Gate keys of one lane share the hash tag `{<prefix>:l:<lane>}`, so that a lane's transaction stays in one slot of a cluster.
 */
export type RedisKeys = ReturnType<typeof createRedisKeys>;

export function createRedisKeys(prefix = 'sluice') {
  const gate = (lane: number): string => `{${prefix}:l:${lane}}`;
  return {
    prefix,
    /** BullMQ's key prefix; the queue name follows it. Hash-tagged by BullMQ's own rule. */
    queuePrefix: `{${prefix}:q}`,
    /** BullMQ's lists and sets of a queue, read for the metrics. `wait`: ids, oldest last; `active`: ids; `delayed`: scored ids. */
    queue: (name: string, what: 'wait' | 'active' | 'delayed'): string =>
      `{${prefix}:q}:${name}:${what}`,
    /** A job of a queue, as BullMQ keeps it: a hash with `timestamp`, when it was added. */
    job: (name: string, id: string): string => `{${prefix}:q}:${name}:${id}`,
    /** Hash a kind: id → JSON. */
    catalogue: (kind: string): string => `{${prefix}:catalogue}:${kind}`,
    /** Integer: the version that the hashes hold. Missing is not empty: it means refill from ClickHouse. */
    catalogueVersion: `{${prefix}:catalogue}:version`,
    /** Channel: the new version, as decimal text. */
    catalogueChanged: `{${prefix}:catalogue}:changed`,
    /** Hash: edge number → `<ms up to which every click chunk of that edge is confirmed>:<ms when that was published>`. */
    edgeMarks: `${prefix}:edge-marks`,
    /** Hash: `edge-<edge number>` or `worker-<host>-<random id>` → JSON heartbeat {role, atMs, …}; read by doctor and the API. */
    heartbeats: `${prefix}:heartbeats`,
    /** Channel: JSON lines of verdicts for /tail, published by workers after commit. Lossy by design. */
    verdictTail: `${prefix}:tail`,
    /** String with expiry: who does the periodic work (roll-ups, late-click replays). Advisory only. */
    maintenanceLock: `${prefix}:maintenance`,
    /** Hash with expiry: which worker writes to the lane now (holder, until) and which is next. Advisory only. */
    laneTurn: (lane: number): string => `{${prefix}:t:${lane}}:turn`,
    /** String with expiry: which worker looks for affiliate postbacks to send. Advisory only. */
    outgoingLock: `${prefix}:outgoing`,
    /** String: when outstanding affiliate postbacks were last queued, ms. Not what the worker knows: Redis lost data, and they are queued again. */
    outgoingQueued: `${prefix}:outgoing-queued`,
    lane: {
      /** Pattern of a lane's state keys, meta excluded by the caller. */
      pattern: (lane: number): string => `${gate(lane)}:*`,
      /** Hash: applied (position), nonce and progress of a rebuild, and `sig:<offer>` → the rule signature that the offer's state was built with. */
      meta: (lane: number): string => `${gate(lane)}:meta`,
      /** Hash: click id → transaction `holder`, both in 22 characters (workers/gate/short-names.ts), or `holder|last|count`: the first that counts, the newest, how many count. */
      clicks: (lane: number, goalId: number): string => `${gate(lane)}:clicks:${goalId}`,
      /** Hash: order id → transaction `holder`, or `holder|count` of those that count. */
      orders: (lane: number, goalId: number): string => `${gate(lane)}:orders:${goalId}`,
      /** Hash: track id → like order ids. */
      tracks: (lane: number, goalId: number): string => `${gate(lane)}:tracks:${goalId}`,
      /** Hash: `<bucket>|<address>` → like order ids. */
      ips: (lane: number, offerId: number): string => `${gate(lane)}:ips:${offerId}`,
      /** Hash: `<scope>:<bucket>` → `count|last transaction id`; scope is `g` or `a<affiliate id>`. */
      caps: (lane: number, goalId: number): string => `${gate(lane)}:caps:${goalId}`,
      /** Hash: transaction id → the change that freed what it claimed. */
      released: (lane: number, goalId: number): string => `${gate(lane)}:released:${goalId}`,
    },
  };
}

/** String with expiry: the bytes of a chunk's file, beside its job, where workers do not read the file itself; in the slot of the queues. */
export function chunkContentKey(queuePrefix: string, chunkId: string): string {
  return `${queuePrefix}:content:${chunkId}`;
}
