/** Date ranges: presets in a zone, as whole days. The zone is the user's own until another is chosen, and is remembered. */
import { useSyncExternalStore } from 'react';

export const PRESETS = [
  ['today', 'Today'],
  ['yesterday', 'Yesterday'],
  ['7d', 'Last 7 days'],
  ['30d', 'Last 30 days'],
  ['month', 'This month'],
  ['last-month', 'Last month'],
] as const;
export type Preset = (typeof PRESETS)[number][0];

export interface Period {
  /** `YYYY-MM-DD`, both inclusive. */
  readonly from: string;
  readonly to: string;
}

/** The date that it is in the zone. */
export function todayIn(zone: string): string {
  return new Intl.DateTimeFormat('sv-SE', { timeZone: zone }).format(Date.now());
}

/** The hour of the day that it is in the zone. */
export function hourIn(zone: string): number {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, hour: '2-digit' });
  return Number(format.format(Date.now()));
}

export function addDays(date: string, days: number): string {
  const day = new Date(`${date}T12:00:00Z`);
  day.setUTCDate(day.getUTCDate() + days);
  return day.toISOString().slice(0, 10);
}

export function periodOf(preset: Preset, zone: string): Period {
  const today = todayIn(zone);
  const firstOfMonth = `${today.slice(0, 8)}01`;
  const endOfLastMonth = addDays(firstOfMonth, -1);
  const periods: Readonly<Record<Preset, Period>> = {
    today: { from: today, to: today },
    yesterday: { from: addDays(today, -1), to: addDays(today, -1) },
    '7d': { from: addDays(today, -6), to: today },
    '30d': { from: addDays(today, -29), to: today },
    month: { from: firstOfMonth, to: today },
    'last-month': { from: `${endOfLastMonth.slice(0, 8)}01`, to: endOfLastMonth },
  };
  return periods[preset];
}

/** Which preset a period is now, if any. */
export function presetOf(period: Period, zone: string): Preset | undefined {
  return PRESETS.map(([preset]) => preset).find((preset) => {
    const { from, to } = periodOf(preset, zone);
    return from === period.from && to === period.to;
  });
}

const ZONE_KEY = 'sluice.zone';
const ownZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
const listeners = new Set<() => void>();

function readZone(): string {
  return localStorage.getItem(ZONE_KEY) ?? ownZone();
}

export function setZone(zone: string): void {
  localStorage.setItem(ZONE_KEY, zone);
  for (const listener of listeners) listener();
}

export function useZone(): string {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, readZone);
}

export function zones(): string[] {
  const known = Intl.supportedValuesOf('timeZone');
  return ['UTC', ...known.filter((zone) => zone !== 'UTC')];
}
