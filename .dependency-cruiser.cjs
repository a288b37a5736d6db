/** The console's own imports are held by a lint rule (.oxlintrc.json): this tool's parser can't read TSX. */
/** Imports point one way (ARCHITECTURE.md): domain ← {spool, queue, redis, catalogue, accounts, clickhouse} ← batch ← {edge, workers, reports} ← api ← cli. */
const forbid = (name, from, to) => ({
  name,
  severity: 'error',
  from: { path: from },
  to: { path: to },
});
module.exports = {
  forbidden: [
    forbid(
      'domain-imports-nothing-of-ours',
      '^src/domain/',
      '^(src/(?!domain/)|workers|clickhouse)',
    ),
    forbid('nothing-imports-cli', '^(src/(?!cli/)|workers|clickhouse)', '^src/cli/'),
    forbid(
      'stores-stay-below',
      '^(src/(spool|queue|redis|catalogue|accounts|batch)|clickhouse)/',
      '^(src/(edge|reports|api)|workers)/',
    ),
    forbid('edge-is-alone', '^src/edge/', '^(src/(reports|api)|workers)/'),
    forbid('workers-below-api', '^workers/', '^src/(edge|reports|api)/'),
    forbid('reports-below-api', '^src/reports/', '^src/(edge|api)/'),
    forbid('nothing-imports-the-console', '^(src|workers|clickhouse)', '^web/'),
    {
      name: 'one-importer-of-uwebsockets',
      severity: 'error',
      from: { pathNot: '^src/edge/uws-adapter\\.ts$' },
      to: { path: 'uWebSockets' },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // Its other parser needs a TypeScript before 7.
    parser: 'swc',
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
  },
};
