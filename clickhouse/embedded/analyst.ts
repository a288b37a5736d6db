/**
 * The analyst's door: admits one SELECT, SHOW, DESCRIBE or EXPLAIN, as the engine's own parser sees it, over the
 * documented views and harmless functions. An allow-list: what is not known to be safe is refused. The engine's
 * readonly mode, which refuses writes, DDL, file() and url(), stands behind it.
 */
import type { Engine, StatementOptions } from './engine.ts';
import { quoteString } from './engine.ts';
import { fault, type EngineFault } from './http-errors.ts';
import { blankLiterals } from './statement.ts';

/** Settings an analyst's client may send; others are dropped, not refused: clients send many harmless ones. */
export const ANALYST_SETTINGS: ReadonlySet<string> = new Set([
  'output_format_json_quote_64bit_integers',
  'output_format_json_quote_denormals',
  'output_format_json_quote_decimals',
  'date_time_output_format',
  'session_timezone',
  'join_use_nulls',
  'max_result_rows',
  'extremes',
  'max_threads',
]);
/** Limits of an analyst's statement: a report may be long, the ingestion beside it may not starve. */
export const ANALYST_LIMITS: ReadonlyMap<string, string> = new Map([
  ['max_execution_time', '60'],
  ['max_memory_usage', String(2 * 1024 ** 3)],
]);

const TABLE_FUNCTIONS = new Set([
  'numbers',
  'zeros',
  'generateseries',
  'generate_series',
  'values',
  'view',
]);
const SYSTEM_TABLES = new Set(['system.one', 'system.numbers']);
/** Functions that reach beyond the rows at hand: files, dictionaries, servers, sleeping, introspection. */
const REFUSED_FUNCTION =
  /^(file|url|s3|remote|cluster|mysql|postgresql|mongodb|sqlite|odbc|jdbc|hdfs|azure|deltalake|iceberg|hudi|input|executable|python|merge|mergetree|loop|dictget|dicthas|dictionary|joinget|sleep|catboost|addressto|demangle|getserver|getsetting|getmacro|hostname|fqdn|tcpport|currentuser|user|initial|serveruuid|showcertificate|hascolumnintable|initializeaggregation|evalmlmethod|queryid|currentqueryid|currentroles|filesystem|zookeeper|throwif|runningconcurrency|transactions|buildid|version|ai|llm|jemalloc|format$|structureto|fuzz|generaterandom|null$|system)/i;

function refuse(message: string): EngineFault {
  return fault(497, 'ACCESS_DENIED', `analyst: ${message}`);
}

interface AstLine {
  readonly depth: number;
  readonly text: string;
}

function parseAst(tree: string): AstLine[] {
  return tree
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => ({ depth: line.length - line.trimStart().length, text: line.trim() }));
}

/** Names of common table expressions: the tree shows only their uses. They can't hold a dot, so no other database is reached. */
function namesOfWithClauses(sql: string): Set<string> {
  const names = [...blankLiterals(sql).matchAll(/\b([A-Za-z_]\w*)\s+AS\s*\(/gi)].map(
    (match) => match[1] ?? '',
  );
  return new Set(/^[\s(]*with\b/i.test(sql) ? names : []);
}

function tableFault(
  name: string,
  relations: ReadonlySet<string>,
  withNames: ReadonlySet<string>,
): EngineFault | undefined {
  const plain = name.replaceAll('`', '');
  if (relations.has(plain) || withNames.has(plain) || SYSTEM_TABLES.has(plain)) return undefined;
  return refuse(`table ${plain} is not one of the documented views`);
}

function lineFault(
  line: AstLine,
  parent: string,
  relations: ReadonlySet<string>,
  withNames: ReadonlySet<string>,
): EngineFault | undefined {
  const [kind = '', name = ''] = line.text.split(' ');
  if (kind === 'TableIdentifier') return tableFault(name, relations, withNames);
  if (kind !== 'Function') return undefined;
  if (parent === 'TableExpression') {
    return TABLE_FUNCTIONS.has(name.toLowerCase())
      ? undefined
      : refuse(`table function ${name} is not allowed`);
  }
  return REFUSED_FUNCTION.test(name) ? refuse(`function ${name} is not allowed`) : undefined;
}

/** `x IN table` names a table as a plain identifier: only documented names or lists may stand there. */
function inFault(sql: string, relations: ReadonlySet<string>): EngineFault | undefined {
  for (const match of sql.matchAll(/\bIN\s+([A-Za-z_`"][\w.`"]*)/gi)) {
    const name = (match[1] ?? '').replaceAll(/[`"]/g, '');
    if (!relations.has(name) && !/^(tuple|array|select)$/i.test(name))
      return refuse(`IN ${name} is not a documented view`);
  }
  return undefined;
}

export function createAnalystDoor(engine: Engine, database: string, views: readonly string[]) {
  const relations = new Set(views.flatMap((view) => [view, `${database}.${view}`]));

  async function judgeShow(sql: string): Promise<EngineFault | undefined> {
    const plain = sql.trim().replaceAll(/\s+/g, ' ').toLowerCase();
    if (
      plain === 'show tables' ||
      plain === `show tables from ${database}` ||
      plain === 'show databases'
    )
      return undefined;
    const named = /^(?:describe|desc|show create(?: table| view)?)(?: table)? ([a-z0-9_.`]+)$/.exec(
      plain,
    )?.[1];
    if (named !== undefined) return tableFault(named, relations, new Set());
    return refuse('this form of SHOW or DESCRIBE is not allowed');
  }

  async function judgeSelect(
    sql: string,
    options: StatementOptions,
  ): Promise<EngineFault | undefined> {
    const tree = parseAst((await engine.query(`EXPLAIN AST ${sql}`, 'TSVRaw', options)).text());
    const root = tree[0]?.text.split(' ')[0] ?? '';
    if (root !== 'SelectWithUnionQuery' && root !== 'SelectIntersectExceptQuery')
      return refuse(`${root} is not allowed`);
    const withNames = namesOfWithClauses(sql);
    const parents: string[] = [];
    for (const line of tree) {
      parents[line.depth] = line.text.split(' ')[0] ?? '';
      const found = lineFault(line, parents[line.depth - 1] ?? '', relations, withNames);
      if (found !== undefined) return found;
      if (line.text === 'Set' || line.text.startsWith('Set '))
        return refuse('SETTINGS in the statement are not allowed');
    }
    return undefined;
  }

  /** Undefined: admitted. Throws the engine's error for a statement that does not parse. */
  return async function admit(
    sql: string,
    options: StatementOptions,
  ): Promise<EngineFault | undefined> {
    const blanked = blankLiterals(sql);
    if (/\bINTO\s+OUTFILE\b/i.test(blanked)) return refuse('INTO OUTFILE is not allowed');
    const one = await engine.query(
      `SELECT formatQuerySingleLineOrNull(${quoteString(sql)}) IS NULL AS bad`,
      'TSV',
      options,
    );
    const word = /^[\s(]*([a-z]+)/i.exec(blanked)?.[1]?.toLowerCase() ?? '';
    if (one.text().trim() === '1' && word !== 'explain') {
      // Let the parser name what is wrong; a stacked statement parses in part, and is refused here.
      await engine.query(`EXPLAIN AST ${sql}`, 'TSVRaw', options);
      return refuse('one statement at a time');
    }
    const inner =
      word === 'explain'
        ? sql.replace(/^\s*explain\s+((ast|syntax|plan|pipeline|estimate|query\s+tree)\s+)?/i, '')
        : sql;
    if (/^\s*(show|describe|desc)\b/i.test(inner)) return judgeShow(inner);
    return inFault(sql, relations) ?? judgeSelect(inner, options);
  };
}
