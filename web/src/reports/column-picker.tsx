/** Which columns a report shows. The choice goes into the URL, so that a shared link shows the same. */
import { useState } from 'react';
import { labelOf } from '../format.ts';
import { Dialog } from '../ui/dialog.tsx';

export function ColumnPicker(props: {
  all: readonly string[];
  shown: readonly string[];
  onChange: (shown: readonly string[]) => void;
  onReset: () => void;
}) {
  const { all, shown, onChange, onReset } = props;
  const [open, setOpen] = useState(false);

  function toggle(name: string, wanted: boolean): void {
    // New ones come at the end; the rest keeps its order.
    onChange(wanted ? [...shown, name] : shown.filter((held) => held !== name));
  }

  return (
    <>
      <button type="button" className="button" onClick={() => setOpen(true)}>
        Columns
      </button>
      {open && (
        <Dialog title="Columns" onClose={() => setOpen(false)}>
          <div className="picker">
            {all.map((name) => (
              <label key={name}>
                <input
                  type="checkbox"
                  checked={shown.includes(name)}
                  disabled={shown.length === 1 && shown.includes(name)}
                  onChange={(event) => toggle(name, event.target.checked)}
                />
                {labelOf(name)}
              </label>
            ))}
          </div>
          <div className="actions">
            <button type="button" className="button" onClick={onReset}>
              As at first
            </button>
            <button type="button" className="button primary" onClick={() => setOpen(false)}>
              Done
            </button>
          </div>
        </Dialog>
      )}
    </>
  );
}
