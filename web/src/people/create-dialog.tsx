/** Adds an affiliate or an advertiser: a name is all that is needed. */
import { useState } from 'react';
import { useLocation } from 'wouter';
import { useChange } from '../api/catalogue.ts';
import { Dialog } from '../ui/dialog.tsx';
import { useErrors } from '../ui/draft.ts';
import { TextField } from '../ui/inputs.tsx';
import { DialogEnd } from '../ui/dialog-end.tsx';

export function CreateDialog({
  kind,
  noun,
  onClose,
}: {
  kind: 'affiliates' | 'advertisers';
  noun: string;
  onClose: () => void;
}) {
  const [name, setName] = useState('');
  const [, navigate] = useLocation();
  const change = useChange();
  const problems = useErrors();

  async function create(): Promise<void> {
    try {
      const made = (await change.mutateAsync({ method: 'POST', kind, body: { name } })) as {
        id: number;
      };
      navigate(`/${kind}/${made.id}`);
    } catch (error) {
      problems.take(error);
    }
  }

  return (
    <Dialog title={`New ${noun}`} onClose={onClose}>
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void create();
        }}
      >
        <TextField label="Name" value={name} onChange={setName} error={problems.of('name')} />
        <DialogEnd
          error={problems.general}
          submit={`Create ${noun}`}
          disabled={change.isPending}
          onCancel={onClose}
        />
      </form>
    </Dialog>
  );
}
