/** An upload as an edge hands it to its batch process. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Upload } from '../../src/batch/store-file.ts';

/** Of a file of `lines` postbacks in `dir`, for a batch in the edge's folder `edgeDir`. */
export function uploadOf(
  dir: string,
  batchId: string,
  { edgeDir = dir, lines = 1, keyGiven = true } = {},
): Upload {
  const file = join(dir, 'upload');
  writeFileSync(file, `click_id\n${'x\n'.repeat(lines)}`);
  return {
    batchId,
    file,
    edgeDir,
    edgeNumber: 3,
    advertiserId: 7,
    kind: 'postbacks',
    author: '',
    suppressPostbacks: false,
    claim: batchId,
    keyGiven,
    receivedAtMs: Date.now(),
    ip: '192.0.2.1',
    userAgent: '',
    uploadedBy: 'key',
    catalogueVersion: 1,
    bytesMax: 1e9,
  };
}
