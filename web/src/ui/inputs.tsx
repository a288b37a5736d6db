/** Fields of a draft by the kind of their value: text, number, list of lines, one of several. */
import { Field, Select } from './field.tsx';

interface Base<V> {
  label: string;
  hint?: string;
  error?: string | undefined;
  wide?: boolean;
  value: V;
  onChange: (value: V) => void;
}

export function TextField(props: Base<string> & { type?: string; placeholder?: string }) {
  const { value, onChange, type = 'text', placeholder, ...field } = props;
  return (
    <Field {...field}>
      {(input) => (
        <input
          {...input}
          type={type}
          value={value}
          placeholder={placeholder}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </Field>
  );
}

export function AreaField(props: Base<string> & { placeholder?: string }) {
  const { value, onChange, placeholder, ...field } = props;
  return (
    <Field {...field}>
      {(input) => (
        <textarea
          {...input}
          value={value}
          placeholder={placeholder}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </Field>
  );
}

/** A number or nothing: an empty field means no limit. */
export function LimitField(props: Base<number | null>) {
  const { value, onChange, ...field } = props;
  return (
    <Field {...field}>
      {(input) => (
        <input
          {...input}
          type="number"
          min="0"
          value={value ?? ''}
          placeholder="no limit"
          onChange={(event) =>
            onChange(event.target.value === '' ? null : Number(event.target.value))
          }
        />
      )}
    </Field>
  );
}

export function NumberField(props: Base<number>) {
  const { value, onChange, ...field } = props;
  return (
    <Field {...field}>
      {(input) => (
        <input
          {...input}
          type="number"
          min="0"
          step="any"
          value={value}
          onChange={(event) => onChange(Number(event.target.value))}
        />
      )}
    </Field>
  );
}

export function ChoiceField<T extends string>(
  props: Base<T> & { options: readonly T[] | readonly (readonly [T, string])[] },
) {
  const { value, onChange, options, ...field } = props;
  const pairs = options.map((option): readonly [T, string] =>
    typeof option === 'string' ? [option, option.replaceAll('_', ' ')] : option,
  );
  return (
    <Field {...field}>
      {(input) => <Select input={input} value={value} options={pairs} onChange={onChange} />}
    </Field>
  );
}

/** A list, one entry a line. */
export function LinesField(props: Base<readonly string[]> & { placeholder?: string }) {
  const { value, onChange, ...rest } = props;
  return (
    <AreaField
      {...rest}
      value={value.join('\n')}
      onChange={(text) => onChange(text === '' ? [] : text.split('\n').map((line) => line.trim()))}
    />
  );
}
