/** Problem documents (RFC 9457): every refusal of the API says what is wrong, by field where there is one. */
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
