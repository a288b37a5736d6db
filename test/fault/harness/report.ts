/** Figures of a fault test: printed, and appended to SLUICE_FAULT_REPORT when it is set (`npm run test:fault` sets it). */
import { appendFileSync } from 'node:fs';

export function report(test: string, figures: Readonly<Record<string, unknown>>): void {
  console.log(`${test}: ${JSON.stringify(figures)}`);
  const file = process.env['SLUICE_FAULT_REPORT'];
  if (file !== undefined && file !== '')
    appendFileSync(file, `${JSON.stringify({ test, ...figures })}\n`);
}
