/** The command line. Each command's work is in a file of its own, loaded when it is asked for. */
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { messageOf } from '../domain/app-error.ts';
import { readConfig, type Config } from '../config.ts';
import { parseId } from '../domain/values.ts';
import { isVerdictSlug, VERDICTS } from '../domain/verdicts.ts';
import { BEHIND_EDGE, yieldCores } from '../niceness.ts';
import type { ReplayCommandOptions } from './replay.ts';

/** 0 done, 1 failed, 2 bad usage (CONTRACT.md). */
const FAILED = 1;
const BAD_USAGE = 2;

let exitCode = 0;

/** Runs a command with checked settings; a failure is one clear message on stderr. */
async function run(work: (config: Config) => Promise<number>): Promise<void> {
  try {
    exitCode = await work(readConfig());
  } catch (error) {
    console.error(`sluice: ${messageOf(error)}`);
    exitCode = FAILED;
  }
}

/** Runs a role that nobody waits for as visitors wait for an answer: behind the edge before it loads, which takes the most of a core. */
function runBehindEdge(work: (config: Config) => Promise<number>): Promise<void> {
  yieldCores(BEHIND_EDGE);
  return run(work);
}

function readId(text: string): number {
  const id = parseId(text);
  if (id === 0) throw new InvalidArgumentError('It must be an id: a whole number of 1 or more.');
  return id;
}

/** One of a repeated option's; a typing error would be a filter that matches nothing. */
function readRejection(text: string, before: readonly string[] = []): readonly string[] {
  if (isVerdictSlug(text) && text !== 'accepted') return [...before, text];
  const slugs = VERDICTS.map(({ slug }) => slug).filter((slug) => slug !== 'accepted');
  throw new InvalidArgumentError(`It must be one of: ${slugs.join(', ')}.`);
}

function readSeconds(text: string): number {
  if (/^[0-9]{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It must be a whole number of seconds.');
}

const program = new Command('sluice')
  .description(
    'Exactly-once ingestion of clicks, conversions and promo codes for affiliate networks',
  )
  .showHelpAfterError()
  .exitOverride();

program
  .command('up')
  .description('start everything: ClickHouse, Redis, edge, worker, API; Ctrl-C stops all of it')
  .option('--demo', 'apply the demo catalogue and send demo traffic through the real front')
  .action((options: { demo?: boolean }) =>
    run(async (config) => (await import('./up.ts')).runUp(config, { demo: options.demo === true })),
  );
program
  .command('test')
  .description('set up, then run the whole test suite (handled by the launcher)')
  .action(() => run(async () => BAD_USAGE));
program
  .command('edge')
  .description('one edge: answers clicks, pixels and postbacks')
  .action(() => run(async (config) => (await import('./edge.ts')).runEdge(config)));
program
  .command('worker')
  .description('one worker: judges and stores')
  .action(() => runBehindEdge(async (config) => (await import('./worker.ts')).runWorker(config)));
program
  .command('api')
  .description('the API: reports, explain, catalogue')
  .action(() => runBehindEdge(async (config) => (await import('./api.ts')).runApi(config)));
program
  .command('clickhouse')
  .description('the embedded ClickHouse')
  .action(() =>
    runBehindEdge(async (config) => (await import('./clickhouse.ts')).runClickHouse(config)),
  );
program
  .command('migrate')
  .description('bring the schema up to this version')
  .action(() => run(async (config) => (await import('./migrate.ts')).runMigrate(config)));

const catalogue = program
  .command('catalogue')
  .description('the catalogue: offers, goals, affiliates, promo codes');
catalogue
  .command('apply')
  .argument('<file>', 'catalogue file, YAML')
  .option('--dry-run', 'only print what would change')
  .description('put what the file names into the catalogue; all or nothing')
  .action((file: string, options: { dryRun?: boolean }) =>
    run(async (config) =>
      (await import('./catalogue.ts')).runCatalogueApply(config, {
        file,
        dryRun: options.dryRun === true,
      }),
    ),
  );
catalogue
  .command('export')
  .description('print the catalogue as a file that apply accepts')
  .action(() => run(async (config) => (await import('./catalogue.ts')).runCatalogueExport(config)));

program
  .command('batch')
  .argument('<file>', 'CSV with a header, NDJSON or a JSON array of postbacks, plain or gzip')
  .requiredOption('--advertiser <id>', 'whose offers the postbacks are for', readId)
  .option(
    '--key <text>',
    'idempotency key; without one the same file is one batch, however often it is sent',
  )
  .option('--dry-run', 'only check the lines; store nothing')
  .option('--no-wait', 'do not wait for the verdicts')
  .description('send a file of postbacks and show what became of its lines')
  .action(
    (
      file: string,
      options: { advertiser: number; key?: string; dryRun?: boolean; wait: boolean },
    ) =>
      run(async (config) =>
        (await import('./batch.ts')).runBatch(config, {
          file,
          advertiser: options.advertiser,
          key: options.key,
          dryRun: options.dryRun === true,
          wait: options.wait,
        }),
      ),
  );
program
  .command('replay')
  .description(
    'judge rejected calls again under the catalogue of now: shows what each would become, then asks',
  )
  .option('--verdict <slug...>', 'rejected with this verdict, like goal_not_found', readRejection)
  .option('--offer <id...>', 'of this offer')
  .option('--goal <id...>', 'of this goal; 0: the goal was not found')
  .option('--affiliate <id...>', 'of this affiliate')
  .option('--advertiser <id...>', 'of this advertiser')
  .option('--hit <id...>', 'this call')
  .option('--from <time>', 'received from then on: a date, or an instant like 2026-05-31T10:00:00Z')
  .option('--to <time>', 'received up to then: a date, inclusive, or an instant, exclusive')
  .option('--tz <zone>', 'the zone of dates', 'UTC')
  .option('--preview', 'only show what would happen')
  .option('--yes', 'do not ask')
  .option('--suppress-postbacks', 'do not tell affiliates')
  .action((options: ReplayCommandOptions) =>
    run(async (config) => (await import('./replay.ts')).runReplay(config, options)),
  );
program
  .command('rebuild')
  .description("make Redis' state anew from ClickHouse: the gate's lanes and the catalogue")
  .action(() => run(async (config) => (await import('./rebuild.ts')).runRebuild(config)));
program
  .command('doctor')
  .description('check the instance; the exit code says whether something is wrong')
  .action(() => run(async (config) => (await import('./doctor.ts')).runDoctor(config)));
program
  .command('explain')
  .argument('<id>', 'a hit id, click id, transaction id or order id')
  .description('why a call got its verdict')
  .action((id: string) =>
    run(async (config) => (await import('./explain.ts')).runExplain(config, { id })),
  );
program
  .command('demo')
  .description(
    'merge the demo catalogue into the running instance’s, then send demo traffic to its edge',
  )
  .option('--seconds <n>', 'how long; 0: until it is ended', readSeconds, 60)
  .action((options: { seconds: number }) =>
    run(async (config) => (await import('./demo.ts')).runDemo(config, options)),
  );

try {
  await program.parseAsync(process.argv);
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  exitCode = error.exitCode === 0 ? 0 : BAD_USAGE;
}
/** A pipe takes what its reader has room for: the rest is written later, and `exit` would drop it. */
const written = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise((done) => stream.write('', () => done()));
await Promise.all([written(process.stdout), written(process.stderr)]);
process.exit(exitCode);
