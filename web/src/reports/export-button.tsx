/** Exports everything that matches, not what is on the screen: streamed from the API, with progress, can be stopped. */
import { useRef, useState } from 'react';
import { send } from '../api/client.ts';
import { formatBytes } from '../format.ts';
import { useNotices } from '../ui/notices.tsx';

const FORMATS = [
  ['csv', 'CSV'],
  ['parquet', 'Parquet'],
  ['ndjson', 'NDJSON'],
] as const;

function save(name: string, parts: BlobPart[], type: string): void {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}

async function download(
  report: string,
  search: URLSearchParams,
  format: string,
  signal: AbortSignal,
  onProgress: (bytes: number) => void,
): Promise<void> {
  const query = new URLSearchParams(search);
  query.set('format', format);
  const response = await send('GET', `/reports/${report}?${query.toString()}`, undefined, signal);
  const parts: BlobPart[] = [];
  let bytes = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const chunk = await reader?.read();
    if (chunk?.value === undefined) break;
    parts.push(chunk.value);
    bytes += chunk.value.byteLength;
    onProgress(bytes);
  }
  const period = `${search.get('from') ?? ''}_${search.get('to') ?? ''}`;
  save(`${report}_${period}.${format}`, parts, response.headers.get('content-type') ?? '');
}

export function ExportButtons({ report, search }: { report: string; search: URLSearchParams }) {
  const [progress, setProgress] = useState<string | null>(null);
  const abort = useRef<AbortController | null>(null);
  const notices = useNotices();

  async function start(format: string, label: string): Promise<void> {
    const controller = new AbortController();
    abort.current = controller;
    setProgress(`${label}: asked`);
    try {
      await download(report, search, format, controller.signal, (bytes) =>
        setProgress(`${label}: ${formatBytes(bytes)}`),
      );
      notices.tell(`${label} exported`);
    } catch (error) {
      if (!controller.signal.aborted) notices.fail(error);
    }
    setProgress(null);
  }

  if (progress !== null)
    return (
      <>
        <span role="status">
          <span className="spinner" aria-hidden="true" /> {progress}
        </span>
        <button type="button" className="button" onClick={() => abort.current?.abort()}>
          Stop
        </button>
      </>
    );
  return (
    <>
      {FORMATS.map(([format, label]) => (
        <button
          key={format}
          type="button"
          className="button"
          onClick={() => void start(format, label)}
        >
          {label}
          <span className="visually-hidden"> export</span>
        </button>
      ))}
    </>
  );
}
