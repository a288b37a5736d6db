/**
 * The one importer of uWebSockets.js, and the keeper of its rules: the request is copied before the callback ends,
 * onAborted is attached first, answers are corked, the raw query is taken whole (the keyed getter mangles it), and the
 * 16 KiB limit is enforced here, because the library's own only bites when a request spans reads.
 */
import type { HttpRequest, HttpResponse, us_listen_socket } from 'uWebSockets.js';
import { remembering } from '../domain/remembering.ts';
import type { Answer } from './answers.ts';

/** Request line and headers, with what stands between and after them; CONTRACT.md. */
const HEAD_BYTES_MAX = 16 * 1024;
/** Of a request line and of the empty line at the end. */
const LINE_BYTES = ' '.length + ' HTTP/1.1\r\n'.length + '\r\n'.length;
const BODY_BYTES_MAX = 64 * 1024;
/** Read before the module loads; above our limit, so that ours gives the answer, whatever the environment says. */
process.env['UWS_HTTP_MAX_HEADERS_SIZE'] = String(4 * HEAD_BYTES_MAX);
const { default: uWS } = await import('uWebSockets.js');

/** A request, copied. Header values are '' when absent. */
export interface EdgeRequest {
  readonly method: string;
  readonly path: string;
  /** Without `?`; undecoded. */
  readonly query: string;
  readonly peer: string;
  readonly origin: string;
  readonly accept: string;
  readonly fetchDest: string;
  readonly cookie: string;
  readonly userAgent: string;
  readonly referer: string;
  readonly contentType: string;
  readonly contentEncoding: string;
  readonly forwardedFor: string;
  readonly forwardedProto: string;
  readonly body: Buffer;
}

/** Sends the answer if the client is still there. Call once, at any later time. */
export type Respond = (answer: Answer) => void;

/** A request whose body is taken piece by piece. */
export interface UploadRequest extends Omit<EdgeRequest, 'body'> {
  readonly authorization: string;
  /** '' when it came empty, which it also does when nothing in it is ASCII: the library trims such bytes from both ends. */
  readonly idempotencyKey: string | undefined;
  /** As announced, or undefined. */
  readonly contentLength: number | undefined;
}

/** The body of an upload as it arrives. Call `take` before the handler returns. */
export interface UploadBody {
  /** `bytes` is a copy. `onAborted`: the client is gone before its body was whole, or before it was answered. */
  take(onBytes: (bytes: Buffer, isLast: boolean) => void, onAborted: () => void): void;
  /** Stops the sender until `resume`. Both do nothing once the client is gone or answered. */
  pause(): void;
  resume(): void;
}

/** Why a request is refused here; metric labels. */
type RefusedHere = 'headers_too_large' | 'body_too_large' | 'length_unclear';

export interface EdgeHandlers {
  /** A whole request. */
  handle(request: EdgeRequest, respond: Respond): void;
  /** A request to the path of uploads, whose body is still to come. */
  upload(request: UploadRequest, body: UploadBody, respond: Respond): void;
  /** A request refused here. */
  refused(reason: RefusedHere | 'aborted'): Answer | undefined;
}

export interface UwsFront {
  readonly port: number;
  /** Takes no new connections; ones that are open are closed with their next answer. */
  close(): void;
  /** Closes what is still open. */
  end(): void;
}

const NO_BODY = Buffer.alloc(0);
/** Its body is a file: streamed, and without the limit of other bodies. */
export const UPLOAD_PATH = '/track/batch';

/** Of several lines of a header the first that says anything counts; of a forwarding header or of Cookie they are one list. */
function listed(before: string, separator: string, value: string): string {
  return before === '' ? value : before + separator + value;
}

/** The headers that anything looks at, by name: an object of all that came would be a dictionary, which is slow to make. */
function copyHeaders(request: HttpRequest) {
  const kept = {
    bytes: 0,
    origin: '',
    accept: '',
    fetchDest: '',
    cookie: '',
    userAgent: '',
    referer: '',
    contentType: '',
    contentEncoding: '',
    contentLength: '',
    lengthUnclear: false,
    forwardedFor: '',
    forwardedProto: '',
    authorization: '',
    // The type of what comes: an empty one is refused, none is not.
    idempotencyKey: undefined as string | undefined,
  };
  request.forEach((name, value) => {
    kept.bytes += name.length + value.length + 4;
    switch (name) {
      case 'origin':
        kept.origin ||= value;
        break;
      case 'accept':
        kept.accept ||= value;
        break;
      case 'sec-fetch-dest':
        kept.fetchDest ||= value;
        break;
      case 'cookie':
        kept.cookie = listed(kept.cookie, '; ', value);
        break;
      case 'user-agent':
        kept.userAgent ||= value;
        break;
      case 'referer':
        kept.referer ||= value;
        break;
      case 'content-type':
        kept.contentType ||= value;
        break;
      case 'content-encoding':
        kept.contentEncoding ||= value;
        break;
      case 'content-length':
        kept.lengthUnclear ||=
          value === '' || (kept.contentLength !== '' && kept.contentLength !== value);
        kept.contentLength = value;
        break;
      case 'x-forwarded-for':
        kept.forwardedFor = listed(kept.forwardedFor, ', ', value);
        break;
      case 'x-forwarded-proto':
        kept.forwardedProto = listed(kept.forwardedProto, ', ', value);
        break;
      case 'authorization':
        kept.authorization ||= value;
        break;
      case 'idempotency-key':
        kept.idempotencyKey ||= value;
        break;
      default:
    }
  });
  return kept;
}

type CopiedHeaders = Readonly<ReturnType<typeof copyHeaders>>;

function send(response: HttpResponse, answer: Answer, headOnly: boolean, isLast: boolean): void {
  response.cork(() => {
    // The whole head at once: each call into the library costs as much as copying a kilobyte.
    if (headOnly) {
      // Told the length of a body that is not sent, the library waits for it and drops the connection's next request;
      // and it takes any argument for a length.
      const length = Buffer.byteLength(answer.body);
      response.writeStatus(`${answer.head}\r\nContent-Length: ${length}`);
      response.endWithoutBody();
    } else {
      response.writeStatus(answer.head);
      response.end(answer.body, isLast);
    }
  });
}

function readBody(
  response: HttpResponse,
  isAborted: () => boolean,
  done: (body: Buffer | undefined) => void,
): void {
  const parts: Buffer[] = [];
  let bytes = 0;
  let over = false;
  response.onData((chunk, isLast) => {
    if (over || isAborted()) return;
    bytes += chunk.byteLength;
    if (bytes > BODY_BYTES_MAX) {
      over = true;
      done(undefined);
      return;
    }
    // The chunk's memory is gone when this callback ends.
    parts.push(Buffer.from(Buffer.from(chunk)));
    if (isLast) done(parts.length === 1 ? (parts[0] ?? NO_BODY) : Buffer.concat(parts));
  });
}

/** Peers whose address was spelled out. */
const PEERS_MAX = 10_000;
const BYTES_OF_IPV4 = 4;

const ipv4Text = remembering(PEERS_MAX, (bits: number) =>
  [bits >>> 24, (bits >>> 16) & 255, (bits >>> 8) & 255, bits & 255].join('.'),
);

/** By its bytes: to be given the text takes a microsecond, a tenth of what a call costs the edge. */
function peerOf(response: HttpResponse): string {
  const address = response.getRemoteAddress();
  return address.byteLength === BYTES_OF_IPV4
    ? ipv4Text(new DataView(address).getInt32(0))
    : Buffer.from(response.getRemoteAddressAsText()).toString('latin1');
}

function copyRequest(
  request: HttpRequest,
  response: HttpResponse,
  headers: CopiedHeaders,
): EdgeRequest {
  return {
    method: request.getCaseSensitiveMethod(),
    path: request.getUrl(),
    query: request.getQuery() ?? '',
    peer: peerOf(response),
    origin: headers.origin,
    accept: headers.accept,
    fetchDest: headers.fetchDest,
    cookie: headers.cookie,
    userAgent: headers.userAgent,
    referer: headers.referer,
    contentType: headers.contentType,
    contentEncoding: headers.contentEncoding,
    forwardedFor: headers.forwardedFor,
    forwardedProto: headers.forwardedProto,
    body: NO_BODY,
  };
}

/** Bytes of the head as most clients write it: a space after each colon, a `?` only before a query. */
function headBytes({ method, path, query }: EdgeRequest, ofHeaders: number): number {
  const ofQuery = query === '' ? 0 : 1 + query.length;
  return LINE_BYTES + method.length + path.length + ofQuery + ofHeaders;
}

function numberOf(text: string): number | undefined {
  return /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined;
}

/** Hands the body over piece by piece; knows when the response may no longer be touched. */
function streamBody(
  response: HttpResponse,
  isOver: () => boolean,
  onAbort: (listener: () => void) => void,
): UploadBody {
  let paused = false;
  return {
    take(onBytes, onAborted) {
      onAbort(onAborted);
      response.onData((chunk, isLast) => {
        // The chunk's memory is gone when this callback ends.
        if (!isOver()) onBytes(Buffer.from(Buffer.from(chunk)), isLast);
      });
    },
    pause() {
      if (paused || isOver()) return;
      paused = true;
      response.pause();
    },
    resume() {
      if (!paused || isOver()) return;
      paused = false;
      response.resume();
    },
  };
}

/** Listens; rejects when the port can't be had. Several processes may listen on one port. */
export function listen(host: string, port: number, handlers: EdgeHandlers): Promise<UwsFront> {
  const app = uWS.App();
  let closing = false;
  app.any('/*', (response, request) => {
    let aborted = false;
    let answered = false;
    // From then on the request is stored or refused whether the client is still there or not.
    let handled = false;
    let onUploadAborted: (() => void) | undefined;
    response.onAborted(() => {
      aborted = true;
      if (onUploadAborted !== undefined) onUploadAborted();
      else if (!handled) handlers.refused('aborted');
    });
    const headers = copyHeaders(request);
    const copied = copyRequest(request, response, headers);
    const respond: Respond = (answer) => {
      if (!aborted) send(response, answer, copied.method === 'HEAD', closing);
      answered = true;
    };
    if (headBytes(copied, headers.bytes) > HEAD_BYTES_MAX) {
      const answer = handlers.refused('headers_too_large');
      handled = true;
      if (answer !== undefined) respond(answer);
      return;
    }
    if (headers.lengthUnclear) {
      const answer = handlers.refused('length_unclear');
      handled = true;
      // Where the next request begins nobody can say. While an answer is pending, the library closes a connection that
      // brings one; answered at once, it would first serve what it has read.
      setImmediate(() => {
        if (answer !== undefined && !aborted) send(response, answer, false, true);
      });
      return;
    }
    if (copied.method === 'GET' || copied.method === 'HEAD') {
      handled = true;
      handlers.handle(copied, respond);
      return;
    }
    if (copied.method === 'POST' && copied.path === UPLOAD_PATH) {
      handled = true;
      const upload = {
        ...copied,
        authorization: headers.authorization,
        idempotencyKey: headers.idempotencyKey,
        contentLength: numberOf(headers.contentLength),
      };
      const isOver = (): boolean => aborted || answered;
      const body = streamBody(response, isOver, (listener) => {
        onUploadAborted = listener;
      });
      handlers.upload(upload, body, (answer) => {
        // A connection that stays paused would never bring its next request.
        body.resume();
        respond(answer);
      });
      return;
    }
    readBody(
      response,
      () => aborted,
      (body) => {
        handled = true;
        if (body !== undefined) {
          handlers.handle({ ...copied, body }, respond);
          return;
        }
        const answer = handlers.refused('body_too_large');
        if (answer !== undefined) respond(answer);
      },
    );
  });
  return new Promise((resolve, reject) => {
    app.listen(host, port, (socket: us_listen_socket | false) => {
      if (socket === false) {
        reject(
          new Error(
            `port ${port} on ${host} is taken: stop what uses it, or set SLUICE_EDGE_PORT to another`,
          ),
        );
        return;
      }
      resolve({
        port: uWS.us_socket_local_port(socket),
        close() {
          closing = true;
          uWS.us_listen_socket_close(socket);
        },
        end: () => void app.close(),
      });
    });
  });
}
