/** Numbers as the document prints them. */
import type { Spread } from './statistics.ts';

export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

export function fixed(value: number, digits = 2): string {
  return Number.isFinite(value) ? value.toFixed(digits) : '–';
}

export function ms(value: number): string {
  return `${fixed(value, value < 10 ? 2 : value < 100 ? 1 : 0)} ms`;
}

export function percent(part: number): string {
  return `${Math.round(part * 100)} %`;
}

export function mebibytes(bytes: number): string {
  return `${count(bytes / 1024 ** 2)} MiB`;
}

/** `median (min – max)`. */
export function spreadText(values: Spread, print: (value: number) => string): string {
  return values.min === values.max
    ? print(values.median)
    : `${print(values.median)} (${print(values.min)} – ${print(values.max)})`;
}
