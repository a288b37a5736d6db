/** The filters of a report: chips that can be taken off, and a form that adds one. A filter holds any of its values. */
import { useState, type SubmitEvent } from 'react';
import { VERDICTS } from '../../../src/domain/verdicts.ts';
import { useCatalogue, useNames } from '../api/catalogue.ts';
import { labelOf } from '../format.ts';
import { Field } from '../ui/field.tsx';
import type { ReportState } from './report-url.ts';

type Choices = readonly (readonly [value: string, label: string])[];

/** Known values of a column, where there are some. */
function useChoices(column: string): Choices | undefined {
  const offers = useCatalogue('offers').data ?? [];
  const goals = useCatalogue('goals').data ?? [];
  const affiliates = useCatalogue('affiliates').data ?? [];
  const advertisers = useCatalogue('advertisers').data ?? [];
  const named = (id: number, name: string): readonly [string, string] => [
    String(id),
    `${name} #${id}`,
  ];
  switch (column) {
    case 'offer_id':
      return offers.map(({ id, title }) => named(id, title));
    case 'goal_id':
      return goals.map(({ id, title, alias }) => named(id, title === '' ? alias : title));
    case 'affiliate_id':
      return affiliates.length === 0
        ? undefined
        : affiliates.map(({ id, name }) => named(id, name));
    case 'advertiser_id':
      return advertisers.map(({ id, name }) => named(id, name));
    case 'verdict':
      return VERDICTS.map(({ slug, title, code }) => [slug, `${title} (${code})`] as const);
    case 'conv_status':
      return ['approved', 'pending', 'rejected', 'hold'].map((status) => [status, status] as const);
    default:
      return undefined;
  }
}

function AddFilter(props: {
  columns: readonly string[];
  onAdd: (column: string, value: string) => void;
}) {
  const { columns, onAdd } = props;
  const [column, setColumn] = useState(columns[0] ?? '');
  const choices = useChoices(column);
  const [value, setValue] = useState('');
  const chosen = choices === undefined ? value : value || (choices[0]?.[0] ?? '');

  function submit(event: SubmitEvent<HTMLFormElement>): void {
    event.preventDefault();
    if (chosen.trim() !== '') onAdd(column, chosen.trim());
    setValue('');
  }

  return (
    <form className="filters" aria-label="Add a filter" onSubmit={submit}>
      <Field label="Filter by">
        {(input) => (
          <select
            {...input}
            value={column}
            onChange={(event) => {
              setColumn(event.target.value);
              setValue('');
            }}
          >
            {columns.map((name) => (
              <option key={name} value={name}>
                {labelOf(name)}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field label="Value">
        {(input) =>
          choices === undefined ? (
            <input {...input} value={value} onChange={(event) => setValue(event.target.value)} />
          ) : (
            <select {...input} value={chosen} onChange={(event) => setValue(event.target.value)}>
              {choices.map(([id, label]) => (
                <option key={id} value={id}>
                  {label}
                </option>
              ))}
            </select>
          )
        }
      </Field>
      <button type="submit" className="button">
        Add filter
      </button>
    </form>
  );
}

export function Filters(props: {
  state: ReportState;
  columns: readonly string[];
  onChange: (filters: ReportState['filters']) => void;
}) {
  const { state, columns, onChange } = props;
  const nameOf = useNames();
  const { filters } = state;

  function add(column: string, value: string): void {
    const held = filters.find(([name]) => name === column)?.[1] ?? [];
    const others = filters.filter(([name]) => name !== column);
    onChange([...others, [column, [...new Set([...held, value])]]]);
  }
  function remove(column: string, value: string): void {
    onChange(
      filters
        .map(([name, values]): readonly [string, readonly string[]] =>
          name === column ? [name, values.filter((held) => held !== value)] : [name, values],
        )
        .filter(([, values]) => values.length > 0),
    );
  }

  return (
    <>
      <AddFilter columns={columns} onAdd={add} />
      {filters.length > 0 && (
        <ul className="chips" aria-label="Filters">
          {filters.flatMap(([column, values]) =>
            values.map((value) => (
              <li className="chip" key={`${column} ${value}`}>
                {labelOf(column)}: {nameOf(column, Number(value)) || value}
                <button
                  type="button"
                  className="button quiet small"
                  aria-label={`Remove the filter ${labelOf(column)} ${value}`}
                  onClick={() => remove(column, value)}
                >
                  ✕
                </button>
              </li>
            )),
          )}
        </ul>
      )}
    </>
  );
}
