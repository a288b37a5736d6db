/**
 * One subscription to the verdicts that workers publish, shared by every open tail. Lossy by design: a reader that is
 * slow misses, nothing waits for it.
 */
import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { messageOf } from '../domain/app-error.ts';

export type TailEvent = Readonly<Record<string, unknown>>;
export type TailListener = (event: TailEvent, line: string) => void;

export interface TailHub {
  readonly listeners: number;
  /** `ready` resolves once events arrive: while Redis is down it waits. */
  listen(listener: TailListener): { readonly ready: Promise<unknown>; readonly leave: () => void };
  close(): void;
}

export function createTailHub(deps: {
  readonly createSubscriber: () => Redis;
  readonly channel: string;
  readonly logger: Logger;
}): TailHub {
  const listeners = new Set<TailListener>();
  let subscriber: Redis | undefined;
  let subscribed: Promise<unknown> | undefined;

  /** On the first listener: an API that nobody tails holds no connection for it. */
  function subscribe(): Promise<unknown> {
    if (subscribed !== undefined) return subscribed;
    subscriber = deps.createSubscriber();
    subscriber.on('message', (_channel: string, lines: string) => spread(lines));
    subscribed = subscriber.subscribe(deps.channel);
    return subscribed;
  }

  function spread(lines: string): void {
    for (const line of lines.split('\n')) {
      let event: TailEvent;
      try {
        // Published by our workers alone, one JSON object a line.
        event = JSON.parse(line) as TailEvent;
      } catch (error) {
        deps.logger.warn({ error: messageOf(error) }, 'a line of the tail could not be read');
        continue;
      }
      for (const listener of listeners) listener(event, line);
    }
  }

  return {
    get listeners() {
      return listeners.size;
    },
    listen(listener) {
      listeners.add(listener);
      return { ready: subscribe(), leave: () => void listeners.delete(listener) };
    },
    close() {
      listeners.clear();
      subscriber?.disconnect();
    },
  };
}
