/** What the edge tells Prometheus: a name says of which type it is. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { createEdgeCounters, createEdgeRegistry } from '../../src/edge/counters.ts';
import { projectPath } from '../../src/project-root.ts';

it('names in _total are counters and no others of ours; docs/operations.md has all of them', async () => {
  const one = (): number => 1;
  const registry = createEdgeRegistry(createEdgeCounters(), {
    unconfirmedChunks: one,
    unconfirmedBytes: one,
    oldestUnconfirmedAgeS: one,
    quarantined: () => 3,
    tornTails: one,
    catalogueVersion: one,
    redisReachable: () => true,
    clickhouseReachable: () => true,
    batches: one,
    batchBytes: one,
  });
  // Read twice: a counter that were added to would be 6.
  await registry.metrics();
  const text = await registry.metrics();
  const types = [...text.matchAll(/^# TYPE (sluice_edge_\w+) (\w+)$/gm)];
  expect(types.length).toBeGreaterThan(10);
  for (const [, name = '', type] of types)
    expect(type, name).toBe(name.endsWith('_total') ? 'counter' : 'gauge');
  expect(text).toMatch(/^sluice_edge_quarantined_total 3$/m);
  const document = readFileSync(projectPath('docs', 'operations.md'), 'utf8');
  for (const [, name = ''] of types) expect(document).toContain(`\`${name}\``);
});
