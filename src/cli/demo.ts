/** `sluice demo`: applies the demo catalogue, then sends believable traffic through the real front. */
import { readFileSync } from 'node:fs';
import { mergeFile, parseCatalogueFile } from '../catalogue/file.ts';
import type { Config } from '../config.ts';
import { projectPath } from '../project-root.ts';
import { announceReady } from './process.ts';
import { openInstance } from './instance.ts';
import { createDemoTraffic } from '../demo/traffic.ts';

/** `seconds` 0: until the process is ended. */
export async function runDemo(
  config: Config,
  options: { readonly seconds: number },
): Promise<number> {
  const instance = await openInstance(config);
  const file = parseCatalogueFile(readFileSync(projectPath('demo', 'catalogue.yaml'), 'utf8'));
  await instance.store.change((state, nextId) => mergeFile(state, file, nextId), 'demo');
  await instance.close();
  announceReady();
  const traffic = createDemoTraffic({
    edgeUrl: config.edgeUrl,
    seed: 1,
    log: console.log,
  });
  await traffic.provokeEveryVerdict();
  await traffic.run(options.seconds === 0 ? Infinity : options.seconds * 1000);
  return 0;
}
