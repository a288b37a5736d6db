/** Sends a file with progress, which `fetch` can't tell. The same file again is the same batch, by its idempotency key. */
import { ApiProblem, csrfHeaders } from '../api/client.ts';

export interface Receipt {
  /** Absent when the file was only checked. */
  readonly batch_id?: string;
  readonly lines: number;
  readonly hits: number;
  readonly rejected: readonly {
    readonly line: number;
    readonly column?: string;
    readonly error: string;
  }[];
  readonly rejected_lines: number;
  readonly ignored_columns: readonly string[];
}

/** Printable ASCII, as the API wants it. */
function keyOf(file: File): string {
  const name = file.name.replaceAll(/[^\w.-]/g, '_').slice(0, 100);
  return `console:${name}:${file.size}:${file.lastModified}`;
}

export function uploadBatch(
  path: string,
  file: File,
  query: URLSearchParams,
  onProgress: (share: number) => void,
): Promise<Receipt> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', `/api/v1${path}?${query.toString()}`);
    request.responseType = 'json';
    const headers = { ...csrfHeaders(), 'content-type': 'application/octet-stream' };
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    if (query.get('dry_run') === null) request.setRequestHeader('idempotency-key', keyOf(file));
    request.upload.addEventListener('progress', ({ loaded, total }) =>
      onProgress(total === 0 ? 0 : loaded / total),
    );
    request.addEventListener('load', () => {
      // The API answers with a receipt or a problem document.
      const body = request.response as (Receipt & { detail?: string }) | null;
      if (request.status < 300 && body !== null) resolve(body);
      else
        reject(
          new ApiProblem(request.status, body?.detail ?? `the server answered ${request.status}`),
        );
    });
    request.addEventListener('error', () =>
      reject(new ApiProblem(0, 'the upload broke off: try again')),
    );
    request.send(file);
  });
}
