/** A modal dialog on the browser's own `<dialog>`: it traps the focus, closes with Escape, gives the focus back. */
import { useEffect, useId, useLayoutEffect, useRef, type ReactNode } from 'react';

export function Dialog(props: {
  title: string;
  onClose: () => void;
  children: ReactNode;
  /** `drawer` stands at the right edge over the full height. */
  form?: 'box' | 'drawer';
}) {
  const { title, onClose, children, form = 'box' } = props;
  const ref = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  useEffect(() => {
    const dialog = ref.current;
    if (dialog === null) return undefined;
    const closeOutside = (event: MouseEvent): void => {
      // The content covers the dialog: the dialog itself is hit on its backdrop only.
      if (event.target === dialog) onClose();
    };
    dialog.addEventListener('mousedown', closeOutside);
    return () => dialog.removeEventListener('mousedown', closeOutside);
  }, [onClose]);
  // Before the element leaves the page: only then the browser gives the focus back.
  useLayoutEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={ref}
      className={`dialog ${form}`}
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <div className="dialog-content">
        <header className="dialog-header">
          <h2 id={titleId}>{title}</h2>
          <button type="button" className="button quiet" onClick={onClose} aria-label="Close">
            ✕
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}
