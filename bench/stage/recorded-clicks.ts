/** Clicks for conversions to name that went the way of clicks: recorded by the edge, stored by the worker, moments before. */
import { appendFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { OFFER_IDS, visitorIp } from '../load/requests.ts';
import { askAgain, until, type Stack } from './stack.ts';

const CONNECTIONS = 64;
const AFFILIATES = 4;
const STORED_MS = 120_000;

export interface RecordedClicks {
  /** The ids, 32 bytes each, in the order of their recording. */
  readonly file: string;
  /** Records so many more, each of another visitor; resolves when ClickHouse has them. */
  record(count: number): Promise<void>;
}

function clickRequest(index: number): string {
  const offerId = OFFER_IDS[index % OFFER_IDS.length] ?? OFFER_IDS[0];
  const path = `/click?o=${offerId}&a=${1 + ((index >>> 2) % AFFILIATES)}&sub_id1=newsletter&return=click_id`;
  return `GET ${path} HTTP/1.1\r\nHost: track.example\r\nX-Forwarded-For: ${visitorIp(index)}\r\n\r\n`;
}

/** Asks for clicks over one socket, one after the other, until `next` has none left; `onId` is told each id. */
function clickAway(
  port: number,
  next: () => number | undefined,
  onId: (id: string) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1');
    let answer = '';
    const ask = (): void => {
      const index = next();
      if (index !== undefined) {
        socket.write(clickRequest(index));
        return;
      }
      socket.destroy();
      resolve();
    };
    socket.setEncoding('latin1');
    socket.on('connect', ask);
    socket.on('error', reject);
    socket.on('end', () => reject(new Error(`the edge ended a connection after: ${answer}`)));
    socket.on('data', (text: string) => {
      answer += text;
      const id = /"click_id":"([0-9a-f]{32})"/.exec(answer)?.[1];
      if (id === undefined) return;
      answer = '';
      onId(id);
      ask();
    });
  });
}

export function createRecordedClicks(stack: Stack): RecordedClicks {
  const file = join(stack.dataDir, 'recorded-click-ids');
  let recorded = 0;

  async function stored(): Promise<number> {
    const rows = await askAgain(() =>
      stack.clickhouse.query<{ n: number }>(
        `SELECT count() AS n FROM click_log WHERE click_id != ''`,
      ),
    );
    return rows[0]?.n ?? 0;
  }

  return {
    file,
    async record(count) {
      const ids: string[] = [];
      const end = recorded + count;
      const next = (): number | undefined => (recorded < end ? recorded++ : undefined);
      await Promise.all(
        Array.from({ length: CONNECTIONS }, () =>
          clickAway(stack.edgePort, next, (id) => ids.push(id)),
        ),
      );
      appendFileSync(file, ids.join(''));
      await until(`${end} clicks to be stored`, async () => (await stored()) >= end, STORED_MS);
    },
  };
}
