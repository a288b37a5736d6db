/**
 * An edit of a stored entity: what was changed, which fields the API refused, saving with Undo. Fields that were not
 * touched are not sent, so that two people who edit different fields do not undo each other.
 */
import { useState } from 'react';
import type { Kind } from '../api/catalogue.ts';
import { useChange } from '../api/catalogue.ts';
import { ApiProblem, messageOf, type FieldError } from '../api/client.ts';
import { useNotices } from './notices.tsx';

/** `promo_codes[code=X, offer_id=1].code` and `postback_ips.allow[0]` are about the fields `code` and `postback_ips`. */
export function fieldOf({ field }: FieldError): string {
  return field.replace(/^\w+\[\w+=[^\]]*\]\./, '').replace(/^\[?\d*\]?\.?/, '');
}

/** The message for a field or anything below it. */
export function errorFor(errors: readonly FieldError[], name: string): string | undefined {
  const found = errors.filter((error) => {
    const field = fieldOf(error);
    return field === name || field.startsWith(`${name}.`) || field.startsWith(`${name}[`);
  });
  return found.length === 0 ? undefined : found.map(({ message }) => message).join('; ');
}

/** Errors of a refused change by field; what no field explains is the second. */
export function useErrors() {
  const [errors, setErrors] = useState<readonly FieldError[]>([]);
  const [general, setGeneral] = useState('');
  return {
    errors,
    general,
    clear() {
      setErrors([]);
      setGeneral('');
    },
    take(error: unknown) {
      const fields = error instanceof ApiProblem ? error.errors : [];
      setErrors(fields);
      setGeneral(fields.length === 0 ? messageOf(error) : '');
    },
    of: (name: string) => errorFor(errors, name),
  };
}

export interface Draft<T> {
  readonly values: T;
  readonly isChanged: boolean;
  readonly isSaving: boolean;
  readonly general: string;
  error(name: string): string | undefined;
  set<K extends keyof T>(name: K, value: T[K]): void;
  reset(): void;
  save(): Promise<boolean>;
}

export function useDraft<T extends object>(kind: Kind, id: string, stored: T): Draft<T> {
  const [changes, setChanges] = useState<Partial<T>>({});
  const problems = useErrors();
  const change = useChange();
  const notices = useNotices();
  const values = { ...stored, ...changes };

  async function save(): Promise<boolean> {
    problems.clear();
    // The keys of a partial T are keys of T.
    const names = Object.keys(changes) as (keyof T)[];
    const before = Object.fromEntries(names.map((name) => [name, stored[name]]));
    try {
      await change.mutateAsync({ method: 'PATCH', kind, id, body: changes });
    } catch (error) {
      problems.take(error);
      return false;
    }
    setChanges({});
    notices.tell('Saved', () => change.mutateAsync({ method: 'PATCH', kind, id, body: before }));
    return true;
  }

  return {
    values,
    isChanged: Object.keys(changes).length > 0,
    isSaving: change.isPending,
    general: problems.general,
    error: problems.of,
    set: (name, value) => setChanges((held) => ({ ...held, [name]: value })),
    reset() {
      setChanges({});
      problems.clear();
    },
    save,
  };
}
