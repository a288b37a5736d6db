/** Writes the documents that follow from code: verdicts and SQL columns. A test fails when they are stale. `npm run docs`. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { ENDPOINTS } from '../src/domain/hit.ts';
import { projectPath } from '../src/project-root.ts';
import { VERDICTS } from '../src/domain/verdicts.ts';

export function verdictsDocument(): string {
  const rows = VERDICTS.map(({ code, slug, title }) => `| ${code} | \`${slug}\` | ${title} |`);
  return `# Verdicts\n\nGenerated from \`src/domain/verdicts.ts\` by \`npm run docs\`. In which order checks run: \`src/domain/judge/checks.ts\`.\n\n| code | slug | title |\n| --- | --- | --- |\n${rows.join('\n')}\n`;
}

interface Column {
  readonly type: string;
  readonly comment: string;
}

const migrations = projectPath('clickhouse', 'migrations');

function columnsOf(file: string): Map<string, Column> {
  const text = readFileSync(`${migrations}/${file}`, 'utf8');
  const columns = [
    ...text.matchAll(
      /^ {4}(?:ADD COLUMN IF NOT EXISTS )?(\w+) (.+?) COMMENT '((?:[^']|'')*)'(?: SETTINGS \([^)]*\))?,?$/gm,
    ),
  ];
  return new Map(
    columns.map(([, name = '', type = '', comment = '']) => [
      name,
      { type, comment: comment.replaceAll("''", "'") },
    ]),
  );
}

const MONEY_BEFORE = { type: 'Nullable(Decimal(18, 4))', comment: 'The one before the change' };

/** Columns that views add or give another meaning. */
const OWN: Readonly<Record<string, Column>> = {
  replayed_as: {
    type: 'String',
    comment: 'The hit that replays this call: the one that counts, else the newest; empty: none',
  },
  previous_conv_status: { type: 'String', comment: 'The status before the change' },
  previous_payout: MONEY_BEFORE,
  previous_revenue: MONEY_BEFORE,
  previous_amount: MONEY_BEFORE,
  previous_currency: { type: 'String', comment: 'The one before the change' },
  previous_notes: { type: 'String', comment: 'Those before the change' },
  kind: { type: 'String', comment: 'clicks or conversions' },
  hits: { type: 'UInt32', comment: 'Hits the edge put into the chunk' },
  rows: { type: 'UInt64', comment: 'Rows that are stored' },
  complete: { type: 'UInt8', comment: '1: all hits are rows' },
  stored_at: { type: "DateTime('UTC')", comment: 'When its last block was written' },
  hour: { type: "DateTime('UTC')", comment: 'Hour of receipt, UTC' },
  clicks: { type: 'UInt64', comment: 'Valid clicks' },
  invalid_clicks: { type: 'UInt64', comment: 'Invalid clicks' },
  conversions: { type: 'UInt64', comment: 'Conversions, whatever their status' },
  approved: { type: 'UInt64', comment: 'Conversions with that status' },
  pending: { type: 'UInt64', comment: 'Conversions with that status' },
  rejected: { type: 'UInt64', comment: 'Conversions with that status' },
  hold: { type: 'UInt64', comment: 'Conversions with that status' },
  invalid_traffic: { type: 'UInt64', comment: 'Conversion calls that became nothing' },
  payout: { type: 'Decimal(38, 4)', comment: 'Sum of what conversions pay to affiliates' },
  revenue: { type: 'Decimal(38, 4)', comment: 'Sum of what conversions bring from the advertiser' },
  profit: { type: 'Decimal(38, 4)', comment: 'revenue - payout' },
};

/** Columns that mean another thing in one view, or have another type: where it may be the change's value, it is a plain one. */
const OF_VIEW: Readonly<Record<string, Partial<Column>>> = {
  'transactions.conv_status': { type: 'String' },
  'transactions.currency': { type: 'String' },
  'transactions.released': {
    type: 'UInt8',
    comment: '1: a change freed what it claimed: it counts in no cap and holds nothing',
  },
  'invalid_clicks.click_time': {
    type: "Nullable(DateTime64(3, 'UTC'))",
    comment: 'Time inside the click id; NULL: it got none',
  },
  'invalid_traffic.released': { type: 'UInt8', comment: 'Always 0' },
};

/** Output columns of a view: the names at the outermost SELECT, four spaces deep. */
function viewColumns(sql: string): string[] {
  const body = sql.slice(sql.indexOf('\nSELECT\n') + 8);
  const list = body.slice(0, body.search(/\nFROM\b/));
  return list
    .split('\n')
    .map((line) => /(\w+),?$/.exec(line.trim())?.[1] ?? '')
    .filter((name) => name !== '');
}

export function sqlDocument(): string {
  const clicks = columnsOf('0001_create_click_log.sql');
  const postbacks = new Map([
    ...columnsOf('0002_create_postback_log.sql'),
    ...columnsOf('0041_add_correction_columns.sql'),
  ]);
  const endpoint = postbacks.get('endpoint');
  if (endpoint === undefined) throw new Error('postback_log has no endpoint');
  // A released migration keeps its comment, and endpoints were added since.
  const endpoints = ENDPOINTS.filter((name) => name !== 'click').join(', ');
  postbacks.set('endpoint', { ...endpoint, comment: `Endpoint: ${endpoints}` });
  const attempts = columnsOf('0050_create_affiliate_postback_log.sql');
  // A view that was replaced is what its newest migration says.
  const views = new Map(
    readdirSync(migrations)
      .toSorted()
      .flatMap((file) => {
        const view = /^\d+_create_(\w+)_view\.sql$/.exec(file)?.[1];
        return view === undefined ? [] : [[view, file] as const];
      }),
  );
  const sections = [...views].map(([view, file]) => {
    const sql = readFileSync(`${migrations}/${file}`, 'utf8');
    const purpose = /^-- (.*)$/m.exec(sql)?.[1] ?? '';
    const base =
      view === 'affiliate_postbacks' ? attempts : view.includes('clicks') ? clicks : postbacks;
    const rows = viewColumns(sql).map((name) => {
      const [first, second] = [base.get(name), OWN[name]];
      const general = view === 'statistics_hourly' ? (second ?? first) : (first ?? second);
      const column = { type: '', comment: '', ...general, ...OF_VIEW[`${view}.${name}`] };
      return `| \`${name}\` | ${column.type.replaceAll('|', '\\|')} | ${column.comment} |`;
    });
    return `## ${view}\n\n${purpose}\n\n| column | type | meaning |\n| --- | --- | --- |\n${rows.join('\n')}\n`;
  });
  return `# SQL for analysts\n\nGenerated from the migrations by \`npm run docs\`. ClickHouse's HTTP port, database \`sluice\`, user \`analyst\` (read-only). Empty means '' for strings, 0 for ids\nand codes, NULL for times and money. Times are UTC.\n\n${sections.join('\n')}`;
}

/** The table of keys is read off the one place that spells them: comment, name, value. */
export function redisKeysDocument(): string {
  const source = readFileSync(projectPath('src', 'redis', 'keys.ts'), 'utf8');
  const entries = source.matchAll(
    /\/\*\* (?<meaning>[^\n]*) \*\/\n\s+(?<name>\w+): [^`]*`(?<key>.*)`,\n/g,
  );
  const functions = source.matchAll(
    /\/\*\* (?<meaning>[^\n]*) \*\/\nexport function [^{]*\{\n\s+return `(?<key>.*)`;\n/g,
  );
  const rows = [...entries, ...functions].map(({ groups }) => {
    const key = (groups?.['key'] ?? '')
      .replaceAll('${queuePrefix}', '{sluice:q}')
      .replaceAll('${gate(lane)}', '{sluice:l:<lane>}')
      .replaceAll('${prefix}', 'sluice')
      .replaceAll(/\$\{(\w+)\}/g, '<$1>');
    return `| \`${key}\` | ${(groups?.['meaning'] ?? '').replaceAll('|', '\\|')} |`;
  });
  return `# Redis keys\n\nGenerated from \`src/redis/keys.ts\` by \`npm run docs\`. Redis may lose all of it: \`sluice rebuild\` or the next use makes it anew\nfrom ClickHouse and the spool.\n\n| key | holds |\n| --- | --- |\n${rows.join('\n')}\n`;
}

if (process.argv[1]?.endsWith('generate-docs.ts') === true) {
  writeFileSync(projectPath('docs', 'verdicts.md'), verdictsDocument());
  writeFileSync(projectPath('docs', 'sql.md'), sqlDocument());
  writeFileSync(projectPath('docs', 'redis-keys.md'), redisKeysDocument());
}
