/**
 * Which functions an analyst's statement may call: an allow-list by the engine's own categories, so that a function
 * nobody has looked at is refused. Left out: files, dictionaries, models, AI services, introspection, sleeping.
 */
import type { Ask } from './engine.ts';

const SAFE_CATEGORIES: readonly string[] = [
  'Aggregate Functions',
  'Arithmetic',
  'Arrays',
  'Bit',
  'Bitmap',
  'Comparison',
  'Conditional',
  'Dates and Times',
  'Distance',
  'Encoding',
  'Financial',
  'Geo',
  'Geo Polygon',
  'Hash',
  'IP Address',
  'JSON',
  'Logical',
  'Map',
  'Mathematical',
  'Null',
  'NumericIndexedVector',
  'QBit',
  'Random Number',
  'Rounding',
  'String',
  'String Replacement',
  'String Search',
  'String Splitting',
  'Time Series',
  'Time Window',
  'Tuple',
  'Type Conversion',
  'URL',
  'UUID',
];
/** Of the category Other, and what the parser makes of syntax. */
const SAFE_NAMES: readonly string[] = [
  // A parameter's place.
  '_CAST',
  'bar',
  'blockNumber',
  'byteSize',
  'columns',
  'countDigits',
  'currentDatabase',
  'currentSchemas',
  'currentUser',
  'defaultValueOfTypeName',
  'digits',
  'exists',
  'finalizeAggregation',
  'formatReadableDecimalSize',
  'formatReadableQuantity',
  'formatReadableSize',
  'formatReadableTimeDelta',
  'getSubcolumn',
  'getTypeSerializationStreams',
  'globalVariable',
  'identity',
  'ignore',
  'isConstant',
  'isDecimalOverflow',
  'lambda',
  'materialize',
  'neighbor',
  'parseReadableSize',
  'parseReadableSizeOrNull',
  'parseReadableSizeOrZero',
  'parseTimeDelta',
  'revision',
  'rowNumberInAllBlocks',
  'rowNumberInBlock',
  'runningAccumulate',
  'runningDifference',
  'runningDifferenceStartingWithFirstValue',
  'toColumnTypeName',
  'toTypeName',
  'transform',
  'untuple',
  'uptime',
  'variantElement',
  'variantType',
  'version',
  'visibleWidth',
];
/** In a safe category, and yet not: they name a table or wait. */
const UNSAFE_NAMES: readonly string[] = ['joinGet', 'joinGetOrNull', 'generateRandomStructure'];

export interface SafeFunctions {
  has(name: string): boolean;
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

/** Reads the engine's list once. Names are compared in lower case: the engine has no two that differ by case alone. */
export async function readSafeFunctions(ask: Ask): Promise<SafeFunctions> {
  const categories = SAFE_CATEGORIES.map((name) => `'${name}'`).join(', ');
  const inSafeCategory = `(SELECT name FROM system.functions WHERE has([${categories}], categories))`;
  const known = lines(
    await ask(
      `SELECT lower(name) FROM system.functions WHERE name IN ${inSafeCategory} OR alias_to IN ${inSafeCategory}`,
    ),
  );
  const combinators = lines(
    await ask('SELECT lower(name) FROM system.aggregate_function_combinators'),
  ).toSorted((a, b) => b.length - a.length);
  const aggregates = new Set(
    lines(await ask('SELECT lower(name) FROM system.functions WHERE is_aggregate')),
  );
  const safe = new Set([...known, ...SAFE_NAMES.map((name) => name.toLowerCase())]);
  for (const name of UNSAFE_NAMES) safe.delete(name.toLowerCase());

  function isCombined(name: string): boolean {
    return combinators.some((suffix) => {
      if (!name.endsWith(suffix)) return false;
      const rest = name.slice(0, -suffix.length);
      return (safe.has(rest) && aggregates.has(rest)) || isCombined(rest);
    });
  }
  return {
    has(name) {
      const plain = name.toLowerCase();
      return safe.has(plain) || isCombined(plain);
    },
  };
}
