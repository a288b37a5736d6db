/** How a form in a dialog ends: what is wrong with it as a whole, Cancel, and the button that sends it. */
export function DialogEnd(props: {
  /** '' when nothing is wrong. */
  error: string;
  /** On the button that sends. */
  submit: string;
  disabled?: boolean;
  onCancel: () => void;
}) {
  return (
    <>
      {props.error !== '' && (
        <p className="error" role="alert">
          {props.error}
        </p>
      )}
      <div className="actions">
        <button type="button" className="button" onClick={props.onCancel}>
          Cancel
        </button>
        <button type="submit" className="button primary" disabled={props.disabled ?? false}>
          {props.submit}
        </button>
      </div>
    </>
  );
}
