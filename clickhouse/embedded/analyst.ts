/**
 * The analyst's door. A statement is admitted in the engine's own reading of it, never by its text: the engine formats
 * it (exactly one statement, comments gone), that form is parsed and walked, and that form is what runs. Behind the
 * door stand the role `analyst`, which may SELECT from the documented views only, and the setting `readonly`; the door
 * adds what those two let through: INTO OUTFILE, KILL QUERY, SET, system tables, functions that reach outside the rows.
 */
import type { Ask } from './engine.ts';
import { RequestFault } from './http-errors.ts';
import type { SafeFunctions } from './safe-functions.ts';
import { quoteString } from '../quote-string.ts';
import { blankLiterals } from './statement.ts';

/** Limits of an analyst's statement: a report may be long, the ingestion beside it may not starve. */
const SECONDS_MAX = 60;
const LIMITS: ReadonlyMap<string, string> = new Map([
  ['max_memory_usage', String(2 * 1024 ** 3)],
  ['max_temporary_data_on_disk_size_for_query', String(8 * 1024 ** 3)],
  ['max_query_size', String(1024 ** 2)],
  ['max_parser_depth', '300'],
  ['max_subquery_depth', '50'],
  ['max_ast_depth', '500'],
  ['max_ast_elements', '20000'],
  ['max_expanded_ast_elements', '100000'],
  // Where the process may set it, the scheduler prefers ingestion.
  ['os_threads_nice_value_query', '10'],
]);
/** Settings an analyst's client may send; others are dropped, not refused: clients send many harmless ones. */
const SETTINGS_ALLOWED: ReadonlySet<string> = new Set([
  'date_time_output_format',
  'session_timezone',
  'join_use_nulls',
  'join_algorithm',
  'max_result_rows',
  'max_result_bytes',
  'result_overflow_mode',
  'max_rows_to_read',
  'read_overflow_mode',
  'extremes',
  'limit',
  'offset',
  'max_threads',
  'max_block_size',
  'use_uncompressed_cache',
  'format_csv_delimiter',
  'format_csv_null_representation',
  'format_tsv_null_representation',
  'prefer_column_name_to_alias',
  'asterisk_include_alias_columns',
]);
const OUTPUT_SETTING =
  /^output_format_(json|csv|tsv|pretty|parquet|arrow|orc|native|binary|bool|decimal|write_statistics|enable_streaming)/;

/** Formats that read a template or schema file of the server. */
const FORMATS_REFUSED = /^(Template|Protobuf|CapnProto|Avro|MySQLWire|PostgreSQLWire)/i;
const READING_ROOTS: ReadonlySet<string> = new Set([
  'SelectWithUnionQuery',
  'SelectIntersectExceptQuery',
  'SelectQuery',
]);
/** The engine shows the analyst in these only what its grants let it see. */
const SHOW_ROOTS: ReadonlySet<string> = new Set([
  'ShowTables',
  'ShowColumns',
  'ShowFunctions',
  'ShowCreateTableQuery',
  'ShowCreateViewQuery',
  'ExistsTableQuery',
  'ExistsViewQuery',
  'DescribeQuery',
]);
const TABLE_FUNCTIONS: ReadonlySet<string> = new Set([
  'numbers',
  'numbers_mt',
  'zeros',
  'zeros_mt',
  'generateseries',
  'generate_series',
  'values',
  'view',
  'null',
]);
/** What a BI tool asks for before it shows a table. Rows are those of the documented views, or constants of the engine. */
const SYSTEM_TABLES: ReadonlySet<string> = new Set([
  'one',
  'numbers',
  'numbers_mt',
  'zeros',
  'databases',
  'tables',
  'columns',
  'functions',
  'settings',
  'formats',
  'data_type_families',
  'table_engines',
  'table_functions',
  'aggregate_function_combinators',
  'collations',
  'keywords',
  'time_zones',
]);

/** ShowTables and ShowColumns stand for more than their names say in the engine's tree. */
const SHOW_FORMS = /^(SHOW (FULL )?(TABLES|COLUMNS|FUNCTIONS|CREATE|DATABASES))\b/;

function refuse(message: string): never {
  throw new RequestFault(497, 'ACCESS_DENIED', `analyst: ${message}`);
}

interface AstLine {
  readonly depth: number;
  readonly kind: string;
  readonly name: string;
}

function parseAst(tree: string): AstLine[] {
  return (
    tree
      // An asked-for format may end lines otherwise.
      .split(/\r?\n/)
      .filter((line) => line.trim() !== '')
      .map((line) => {
        const text = line.trimStart();
        const [kind = '', name = ''] = text.split(' ');
        return { depth: line.length - text.length, kind, name };
      })
  );
}

/** Any name in a system database, wherever it stands: `x IN system.users` names a table as a plain identifier. */
function judgeName(name: string): void {
  const [, database = '', table = ''] =
    /^`?(system|information_schema)`?\.`?([^`]*)/i.exec(name) ?? [];
  if (database.toLowerCase() === 'system' && !SYSTEM_TABLES.has(table.split('.')[0] ?? ''))
    refuse(`table ${name} is not one of the documented views`);
}

export interface AnalystDoor {
  /** The settings a statement of the analyst runs under. */
  settings(asked: ReadonlyMap<string, string>): ReadonlyMap<string, string>;
  /** What stands behind the statement. */
  judgeClauses(format: string, settings: string): void;
  /** The statement as the engine reads it. Throws a refusal, or the engine's error for text that does not parse. */
  admit(sql: string, ask: Ask): Promise<string>;
}

export function createAnalystDoor(functions: SafeFunctions): AnalystDoor {
  function judgeLine(line: AstLine, parent: string): void {
    if (line.kind === 'Set') refuse('SETTINGS in the statement are not allowed');
    if (line.kind === 'TableIdentifier' || line.kind === 'Identifier') judgeName(line.name);
    if (line.kind !== 'Function') return;
    if (parent === 'TableExpression') {
      if (!TABLE_FUNCTIONS.has(line.name.toLowerCase()))
        refuse(`table function ${line.name} is not allowed`);
    } else if (!functions.has(line.name) && !TABLE_FUNCTIONS.has(line.name.toLowerCase())) {
      refuse(`function ${line.name} is not allowed`);
    }
  }

  function judgeTree(tree: readonly AstLine[]): void {
    const [root] = tree;
    const explained = root?.kind === 'Explain';
    const kind = (explained ? tree[1]?.kind : root?.kind) ?? '';
    if (!READING_ROOTS.has(kind) && (explained || !SHOW_ROOTS.has(kind)))
      refuse(`only SELECT, SHOW, DESCRIBE and EXPLAIN are allowed, not ${kind}`);
    const parents: string[] = [];
    for (const line of tree) {
      parents[line.depth] = line.kind;
      judgeLine(line, parents[line.depth - 1] ?? '');
    }
  }

  return {
    settings(asked) {
      const kept = new Map(
        [...asked].filter(([name]) => SETTINGS_ALLOWED.has(name) || OUTPUT_SETTING.test(name)),
      );
      for (const [name, value] of LIMITS) kept.set(name, value);
      const seconds = Number(asked.get('max_execution_time') ?? SECONDS_MAX);
      const limit = seconds > 0 && seconds < SECONDS_MAX ? seconds : SECONDS_MAX;
      return kept.set('max_execution_time', String(limit));
    },
    judgeClauses(format, settings) {
      if (settings !== '') refuse('SETTINGS in the statement are not allowed');
      if (FORMATS_REFUSED.test(format)) refuse(`format ${format} is not allowed`);
    },
    async admit(sql, ask) {
      const formatted = (await ask(`SELECT formatQuerySingleLine(${quoteString(sql)})`)).trim();
      if (/\bINTO\s+OUTFILE\b/i.test(blankLiterals(formatted)))
        refuse('INTO OUTFILE is not allowed');
      if (/^SHOW\b/.test(formatted) && !SHOW_FORMS.test(formatted))
        refuse('this form of SHOW is not allowed');
      judgeTree(parseAst(await ask(`EXPLAIN AST ${formatted}`)));
      return formatted;
    },
  };
}
