/** API keys: made for a role and tenant, shown once, revoked at once. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { call, get } from '../api/client.ts';
import { CopyBox, PageHead } from '../ui/bits.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { useErrors } from '../ui/draft.ts';
import { TextField } from '../ui/inputs.tsx';
import { useNotices } from '../ui/notices.tsx';
import { Await, Empty } from '../ui/states.tsx';
import { TenantFields, useTenantName, type Tenant } from './tenant-fields.tsx';
import { DialogEnd } from '../ui/dialog-end.tsx';

interface ApiKey extends Tenant {
  readonly id: string;
  readonly prefix: string;
  readonly name: string;
}

function KeyDialog({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState('');
  const [tenant, setTenant] = useState<Tenant>({
    role: 'manager',
    advertiser_id: 0,
    affiliate_id: 0,
  });
  const [key, setKey] = useState('');
  const [isSending, setSending] = useState(false);
  const client = useQueryClient();
  const problems = useErrors();

  async function create(): Promise<void> {
    const { role, advertiser_id, affiliate_id } = tenant;
    const body = {
      name,
      role,
      ...(role === 'advertiser' && { advertiser_id }),
      ...(role === 'affiliate' && { affiliate_id }),
    };
    setSending(true);
    try {
      const made = await call<{ key: string }>('POST', '/api-keys', body);
      setKey(made.key);
      await client.invalidateQueries({ queryKey: ['api-keys'] });
    } catch (error) {
      problems.take(error);
    } finally {
      setSending(false);
    }
  }

  return (
    <Dialog title="New API key" onClose={onClose}>
      {key === '' ? (
        <form
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            void create();
          }}
        >
          <div className="grid">
            <TextField
              label="What it is for"
              value={name}
              onChange={setName}
              error={problems.of('name')}
            />
            <TenantFields tenant={tenant} error={problems.of} onChange={setTenant} />
          </div>
          <DialogEnd
            error={problems.general}
            submit="Create key"
            disabled={isSending}
            onCancel={onClose}
          />
        </form>
      ) : (
        <>
          <CopyBox label="key" text={key} note="Shown once: only its hash is stored." />
          <div className="actions">
            <button type="button" className="button primary" onClick={onClose}>
              Done
            </button>
          </div>
        </>
      )}
    </Dialog>
  );
}

export function ApiKeysPage() {
  const client = useQueryClient();
  const query = useQuery({
    queryKey: ['api-keys'],
    queryFn: ({ signal }) => get<{ rows: ApiKey[] }>('/api-keys', signal),
  });
  const revoke = useMutation({
    mutationFn: (id: string) => call('DELETE', `/api-keys/${id}`),
    onSettled: () => client.invalidateQueries({ queryKey: ['api-keys'] }),
  });
  const [creating, setCreating] = useState(false);
  const notices = useNotices();
  const tenantName = useTenantName();

  async function remove(key: ApiKey): Promise<void> {
    const text = 'Whatever uses it is refused from now on. This can’t be undone.';
    if (!(await notices.confirm(`Revoke the key ${key.name}?`, text, 'Revoke key'))) return;
    await revoke.mutateAsync(key.id).then(() => notices.tell('Key revoked'), notices.fail);
  }

  return (
    <>
      <PageHead title="API keys">
        <button type="button" className="button primary" onClick={() => setCreating(true)}>
          New API key
        </button>
      </PageHead>
      <Await query={query} what="keys">
        {({ rows }) =>
          rows.length === 0 ? (
            <Empty title="No API keys yet">The admin key works without being listed here.</Empty>
          ) : (
            <section className="table-frame" tabIndex={0} aria-label="API keys">
              <table>
                <thead>
                  <tr>
                    <th scope="col">Name</th>
                    <th scope="col">Begins with</th>
                    <th scope="col">Role</th>
                    <th scope="col">Of</th>
                    <th scope="col">
                      <span className="visually-hidden">Actions</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {rows.map((key) => (
                    <tr key={key.id}>
                      <td>{key.name}</td>
                      <td className="mono">{key.prefix}…</td>
                      <td>{key.role}</td>
                      <td>{tenantName(key)}</td>
                      <td>
                        <button
                          type="button"
                          className="button small danger"
                          onClick={() => void remove(key)}
                        >
                          Revoke<span className="visually-hidden"> {key.name}</span>
                        </button>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </section>
          )
        }
      </Await>
      {creating && <KeyDialog onClose={() => setCreating(false)} />}
    </>
  );
}
