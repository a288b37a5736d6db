/**
 * Period, presets, zone and the Display button: what every report begins with. Changes count when Display is pressed.
 * Give it the state's period as `key`: another period begins another draft.
 */
import { useState, type ReactNode } from 'react';
import { periodOf, presetOf, PRESETS, zones, type Preset } from '../period.ts';
import { Field } from '../ui/field.tsx';
import type { ReportState } from './report-url.ts';

type Draft = Pick<ReportState, 'from' | 'to' | 'tz'>;

export const periodKey = ({ from, to, tz }: Draft): string => `${from} ${to} ${tz}`;

export function PeriodForm(props: {
  state: ReportState;
  onDisplay: (draft: Draft) => void;
  children?: ReactNode;
}) {
  const { state, onDisplay, children } = props;
  const [draft, setDraft] = useState<Draft>(state);
  const preset = presetOf(draft, draft.tz);
  const backwards = draft.from > draft.to;
  return (
    <form
      className="filters"
      aria-label="Period"
      onSubmit={(event) => {
        event.preventDefault();
        if (!backwards) onDisplay(draft);
      }}
    >
      <Field label="Dates">
        {(input) => (
          <select
            {...input}
            value={preset ?? 'own'}
            onChange={(event) => {
              const chosen = PRESETS.find(([name]) => name === event.target.value);
              // 'own' keeps the dates as they are.
              if (chosen !== undefined)
                setDraft({ ...draft, ...periodOf(chosen[0] satisfies Preset, draft.tz) });
            }}
          >
            <option value="own">Own dates</option>
            {PRESETS.map(([name, label]) => (
              <option key={name} value={name}>
                {label}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field label="From">
        {(input) => (
          <input
            {...input}
            type="date"
            required
            value={draft.from}
            onChange={(event) => setDraft({ ...draft, from: event.target.value })}
          />
        )}
      </Field>
      <Field label="To" error={backwards ? 'is before the first day' : undefined}>
        {(input) => (
          <input
            {...input}
            type="date"
            required
            value={draft.to}
            onChange={(event) => setDraft({ ...draft, to: event.target.value })}
          />
        )}
      </Field>
      <Field label="Time zone">
        {(input) => (
          <select
            {...input}
            value={draft.tz}
            onChange={(event) => setDraft({ ...draft, tz: event.target.value })}
          >
            {[...new Set([draft.tz, ...zones()])].map((zone) => (
              <option key={zone}>{zone}</option>
            ))}
          </select>
        )}
      </Field>
      {children}
      <button type="submit" className="button primary">
        Display
      </button>
    </form>
  );
}
