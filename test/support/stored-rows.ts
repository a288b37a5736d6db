/** Rows put straight into the base tables, so that reports can be held against a history of any shape; and SQL as Sluice itself. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunningSluice } from './start-sluice.ts';

export type StoredRow = Readonly<Record<string, unknown>>;

/** A lane that no worker serves: what is put there claims nothing. */
const UNSERVED_LANE = 60_000;

export async function runSql(sluice: RunningSluice, sql: string): Promise<string> {
  const { clickhousePassword } = JSON.parse(
    readFileSync(join(sluice.dataDir, 'secrets.json'), 'utf8'),
  ) as { clickhousePassword: string };
  const response = await fetch(`${sluice.clickhouseUrl}/?database=sluice`, {
    method: 'POST',
    body: sql,
    headers: { 'x-clickhouse-user': 'sluice', 'x-clickhouse-key': clickhousePassword },
  });
  const text = await response.text();
  if (!response.ok) throw new Error(text);
  return text;
}

async function insert(
  sluice: RunningSluice,
  table: string,
  rows: readonly StoredRow[],
): Promise<void> {
  const lines = rows.map((row) => JSON.stringify(row)).join('\n');
  await runSql(sluice, `INSERT INTO ${table} FORMAT JSONEachRow\n${lines}\n`);
}

export const insertClicks = (sluice: RunningSluice, rows: readonly StoredRow[]): Promise<void> =>
  insert(sluice, 'click_log', rows);

export const insertCalls = (sluice: RunningSluice, rows: readonly StoredRow[]): Promise<void> =>
  insert(
    sluice,
    'postback_log',
    rows.map((row, index) => ({
      lane: UNSERVED_LANE,
      position: index + 1,
      channel: 'postback',
      ...row,
    })),
  );
