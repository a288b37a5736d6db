/** `sluice explain ID`: why a call got its verdict, in text. */
import { Problem } from '../api/problem.ts';
import { explain } from '../api/explain/stored.ts';
import type { Config } from '../config.ts';
import type { TracedCheck } from '../domain/judge/judge.ts';
import { ipStorageOf, openSecrets } from '../secrets.ts';
import { openInstance } from './instance.ts';

const KEYS = ['hit_id', 'click_id', 'transaction_id', 'order_id'] as const;
const MARKS = { passed: '✓', failed: '✗', skipped: '·' } as const;

function print(call: Record<string, unknown>): void {
  console.log(`${String(call['hit_id'])}  ${String(call['hit_time'])} UTC`);
  console.log(`verdict ${String(call['verdict_code'])} ${String(call['title'])}`);
  if (call['detail'] !== '') console.log(`  ${String(call['detail'])}`);
  if (call['hint'] !== '') console.log(`  hint: ${String(call['hint'])}`);
  // explain() builds the list from TracedCheck.
  for (const { check, outcome, evidence } of call['checks'] as readonly TracedCheck[]) {
    console.log(`  ${MARKS[outcome]} ${check}: ${evidence}`);
  }
}

export async function runExplain(
  config: Config,
  options: { readonly id: string },
): Promise<number> {
  const instance = await openInstance(config);
  const context = { ...instance, ips: ipStorageOf(config, openSecrets(config)) };
  try {
    for (const key of KEYS) {
      try {
        const found = await explain(
          context,
          { role: 'manager', name: 'command line' },
          key,
          options.id,
        );
        // explain() puts every call under `calls`.
        for (const call of found['calls'] as Record<string, unknown>[]) print(call);
        // A click alone.
        if ((found['calls'] as unknown[]).length === 0) print(found);
        return 0;
      } catch (error) {
        if (!(error instanceof Problem) || error.status !== 404) throw error;
      }
    }
    console.error(
      `nothing is stored under ${options.id}: no hit, click, transaction or order has this id`,
    );
    return 1;
  } finally {
    await instance.close();
  }
}
