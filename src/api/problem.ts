/** Problem documents (RFC 9457): every refusal of the API says what is wrong, by field where there is one. */
import { STATUS_CODES } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { EditRefused } from '../catalogue/edits.ts';
import { CatalogueFaults } from '../catalogue/store.ts';
import type { Fault } from '../catalogue/schema.ts';
import { AppError, messageOf } from '../domain/app-error.ts';
import { ReportRefused } from '../reports/parameters.ts';

export interface FieldError {
  readonly field: string;
  readonly message: string;
}

export class Problem extends Error {
  readonly status: number;
  readonly title: string;
  readonly errors: readonly FieldError[];
  constructor(status: number, title: string, detail: string, errors: readonly FieldError[] = []) {
    super(detail);
    this.status = status;
    this.title = title;
    this.errors = errors;
  }
}

export const badRequest = (detail: string, errors: readonly FieldError[] = []): Problem =>
  new Problem(400, 'Bad Request', detail, errors);
export const notFound = (detail: string): Problem => new Problem(404, 'Not Found', detail);
export const forbidden = (detail: string): Problem => new Problem(403, 'Forbidden', detail);
export const invalid = (detail: string, errors: readonly FieldError[]): Problem =>
  new Problem(422, 'Unprocessable Content', detail, errors);
export const conflict = (detail: string, errors: readonly FieldError[] = []): Problem =>
  new Problem(409, 'Conflict', detail, errors);

/** The rules name the entity; who sent one entity knows which: only its field is of use. */
const withoutEntity = ({ field, message }: Fault): FieldError => ({
  field: field.replace(/^\w+\[[^\]]*\]\./, ''),
  message,
});

function ofEdit({ why, message, faults }: EditRefused): Problem {
  if (why === 'missing') return notFound(message);
  return why === 'conflict' ? conflict(message, faults) : invalid(message, faults);
}

function ofAppError(error: AppError): Problem {
  if (error instanceof CatalogueFaults) {
    const errors = error.faults.map(withoutEntity);
    const detail = errors.map(({ field, message }) => `${field}: ${message}`).join('; ');
    return error.faults.every(({ taken }) => taken === true)
      ? conflict(detail, errors)
      : invalid(detail, errors);
  }
  return error.retryable
    ? new Problem(503, 'Service Unavailable', 'a store behind the API does not answer: try again')
    : ofDefect();
}

const ofDefect = (): Problem =>
  new Problem(500, 'Internal Server Error', 'this is a defect of ours; the log has it');

/** A refusal by the framework: a body that is no JSON, too large, of another type. */
function ofFramework(error: Error & { readonly statusCode: unknown }): Problem {
  const status = Number(error.statusCode);
  return status >= 400 && status < 500
    ? new Problem(status, STATUS_CODES[status] ?? 'Bad Request', error.message)
    : ofDefect();
}

function ofReport({ why, message, faults }: ReportRefused): Problem {
  if (why === 'forbidden') return forbidden(message);
  return why === 'unknown' ? notFound(message) : badRequest(message, faults);
}

function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof ReportRefused) return ofReport(error);
  if (error instanceof EditRefused) return ofEdit(error);
  if (error instanceof AppError) return ofAppError(error);
  return error instanceof Error && 'statusCode' in error ? ofFramework(error) : ofDefect();
}

function send(reply: FastifyReply, { status, title, message, errors }: Problem): FastifyReply {
  if (status === 503) void reply.header('retry-after', '1');
  return reply
    .status(status)
    .type('application/problem+json')
    .send({ type: 'about:blank', title, status, detail: message, errors });
}

export function createErrorHandler(logger: Logger) {
  return (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const problem = toProblem(error);
    if (problem.status >= 500)
      logger.error(
        // The query may hold anything, keys and tokens included.
        { method: request.method, path: request.url.split('?', 1)[0], error: messageOf(error) },
        'a request failed',
      );
    return send(reply, problem);
  };
}

export function sendNotFound(_request: FastifyRequest, reply: FastifyReply): FastifyReply {
  return send(reply, notFound('no such path'));
}
