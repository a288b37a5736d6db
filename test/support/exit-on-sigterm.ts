/**
 * The runner ends the process of a test file by SIGTERM, which by itself runs no exit listeners: what a file started and
 * could not close, because its `beforeAll` failed, would stay.
 */
process.once('SIGTERM', () => process.exit());
