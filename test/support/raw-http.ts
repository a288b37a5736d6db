/** HTTP/1.1 by hand: what fetch hides (headers in their own case, several answers on a connection, an early end). */
import { connect } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  /** By lower-case name; the values of a repeated header in order. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  readonly body: Buffer;
}

/** First value of a header, '' when absent. */
export function headerOf(answer: RawAnswer, name: string): string {
  return answer.headers.get(name)?.[0] ?? '';
}

interface Parsed {
  readonly answer: RawAnswer;
  readonly end: number;
}

function parseOne(data: Buffer, from: number, isHead: boolean): Parsed | undefined {
  const headEnd = data.indexOf('\r\n\r\n', from);
  if (headEnd < 0) return undefined;
  const [statusLine = '', ...lines] = data.subarray(from, headEnd).toString('latin1').split('\r\n');
  const headers = new Map<string, string[]>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    headers.set(name, [...(headers.get(name) ?? []), line.slice(colon + 1).trim()]);
  }
  const length = isHead ? 0 : Number(headers.get('content-length')?.[0] ?? 0);
  const end = headEnd + 4 + length;
  if (end > data.length) return undefined;
  const status = Number(statusLine.split(' ')[1]);
  return { answer: { status, headers, body: data.subarray(headEnd + 4, end) }, end };
}

function parseAnswers(data: Buffer, isHead: boolean): RawAnswer[] {
  const answers: RawAnswer[] = [];
  let parsed = parseOne(data, 0, isHead);
  while (parsed !== undefined) {
    answers.push(parsed.answer);
    parsed = parseOne(data, parsed.end, isHead);
  }
  return answers;
}

/** Sends bytes on one connection; resolves when `expected` answers are there or the server has closed. */
export function sendRaw(
  port: number,
  request: string | Buffer,
  options: { readonly expected?: number; readonly isHead?: boolean } = {},
): Promise<RawAnswer[]> {
  const { expected = 1, isHead = false } = options;
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let data = Buffer.alloc(0);
    socket.on('data', (part) => {
      data = Buffer.concat([data, part]);
      if (parseAnswers(data, isHead).length >= expected) socket.destroy();
    });
    // A refused upload is reset while it is being sent; `close` follows.
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(parseAnswers(data, isHead)));
    socket.write(request);
  });
}

/** One request, one answer; rejects when the server closed without one. */
export async function ask(
  port: number,
  method: string,
  target: string,
  headers: Readonly<Record<string, string>> = {},
  body: string | Buffer = '',
): Promise<RawAnswer> {
  const hasBody = method !== 'GET' && method !== 'HEAD';
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = hasBody ? `Content-Length: ${Buffer.byteLength(body)}\r\n` : '';
  const head = `${method} ${target} HTTP/1.1\r\nHost: tracker.example\r\n${lines.join('')}${length}\r\n`;
  const request = Buffer.concat([Buffer.from(head, 'latin1'), Buffer.from(body)]);
  const [answer] = await sendRaw(port, request, { isHead: method === 'HEAD' });
  if (answer === undefined) throw new Error(`no answer to ${method} ${target}`);
  return answer;
}
