/** The form around a draft: Save and Discard, enabled when there is something to save; what no field explains is said here. */
import type { ReactNode } from 'react';
import type { Draft } from './draft.ts';

export function DraftForm<T>(props: {
  draft: Draft<T>;
  label: string;
  children: ReactNode;
  onSaved?: () => void;
}) {
  const { draft, label, children, onSaved } = props;
  return (
    <form
      className="card"
      aria-label={label}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void draft.save().then((saved) => {
          if (saved) onSaved?.();
        });
      }}
    >
      {children}
      {draft.general !== '' && (
        <p className="error" role="alert">
          {draft.general}
        </p>
      )}
      <div className="actions">
        {draft.isChanged && (
          <button type="button" className="button" onClick={() => draft.reset()}>
            Discard
          </button>
        )}
        <button
          type="submit"
          className="button primary"
          disabled={!draft.isChanged || draft.isSaving}
        >
          {draft.isSaving ? 'Saving…' : 'Save'}
        </button>
      </div>
    </form>
  );
}
