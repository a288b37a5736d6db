/** `sluice catalogue apply` and `export`. */
import { readFileSync } from 'node:fs';
import { exportCatalogue, mergeFile, parseCatalogueFile } from '../catalogue/file.ts';
import type { EntityChange } from '../catalogue/diff.ts';
import { decodeCatalogueFile } from '../catalogue/yaml-document.ts';
import type { Config } from '../config.ts';
import { openInstance } from './instance.ts';

function printChanges(changes: readonly EntityChange[], total: number): void {
  for (const { kind, id, what } of changes) console.log(`${what.padEnd(8)} ${kind} ${id}`);
  const count = (what: EntityChange['what']): number =>
    changes.filter((change) => change.what === what).length;
  console.log(
    `${count('created')} created, ${count('changed')} changed, ${total - changes.length} left alone`,
  );
}

export async function runCatalogueApply(
  config: Config,
  options: { readonly file: string; readonly dryRun: boolean },
): Promise<number> {
  const file = parseCatalogueFile(decodeCatalogueFile(readFileSync(options.file)));
  const instance = await openInstance(config);
  try {
    const outcome = await instance.store.change(
      (state, nextId) => mergeFile(state, file, nextId),
      'command line',
      options.dryRun,
    );
    const total = Object.values(file).reduce(
      (sum, list: readonly unknown[]) => sum + list.length,
      0,
    );
    printChanges(outcome.changes, total);
    if (options.dryRun) console.log('dry run: nothing was stored');
    else console.log(`version ${outcome.version}`);
    if (!outcome.published)
      console.error('stored, but Redis could not be told: in force as soon as it is back');
    return 0;
  } finally {
    await instance.close();
  }
}

export async function runCatalogueExport(config: Config): Promise<number> {
  const instance = await openInstance(config);
  try {
    process.stdout.write(exportCatalogue((await instance.store.current()).state));
    return 0;
  } finally {
    await instance.close();
  }
}
