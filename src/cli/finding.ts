/** A finding of `sluice doctor`. */
export interface Finding {
  readonly what: string;
  readonly ok: boolean;
  readonly detail: string;
}

export const fine = (what: string, detail: string): Finding => ({ what, ok: true, detail });
export const wrong = (what: string, detail: string): Finding => ({ what, ok: false, detail });
