/** Users: who may sign in, in which role. Disabled rather than deleted, so that it can be undone. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { User } from '../../../src/domain/user.ts';
import { call, get } from '../api/client.ts';
import { Badge, PageHead } from '../ui/bits.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { useErrors } from '../ui/draft.ts';
import { TextField } from '../ui/inputs.tsx';
import { useNotices } from '../ui/notices.tsx';
import { Await } from '../ui/states.tsx';
import { TenantFields, useTenantName, type Tenant } from './tenant-fields.tsx';
import { DialogEnd } from '../ui/dialog-end.tsx';

function useUserChange() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ id, body }: { id: number | null; body: object }) =>
      id === null ? call<User>('POST', '/users', body) : call<User>('PATCH', `/users/${id}`, body),
    onSettled: () => client.invalidateQueries({ queryKey: ['users'] }),
  });
}

function UserDialog({ user, onClose }: { user: User | null; onClose: () => void }) {
  const [login, setLogin] = useState(user?.login ?? '');
  const [name, setName] = useState(user?.name ?? '');
  const [password, setPassword] = useState('');
  const [tenant, setTenant] = useState<Tenant>(
    user ?? { role: 'manager', advertiser_id: 0, affiliate_id: 0 },
  );
  const change = useUserChange();
  const problems = useErrors();
  const notices = useNotices();

  async function save(): Promise<void> {
    const { role, advertiser_id, affiliate_id } = tenant;
    const body = {
      name,
      role,
      advertiser_id,
      affiliate_id,
      ...(user === null && { login }),
      ...((user === null || password !== '') && { password }),
    };
    try {
      await change.mutateAsync({ id: user?.id ?? null, body });
      notices.tell(user === null ? `User ${login} created` : 'User saved');
      onClose();
    } catch (error) {
      problems.take(error);
    }
  }

  return (
    <Dialog title={user === null ? 'New user' : `User ${user.login}`} onClose={onClose}>
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <div className="grid">
          {user === null && (
            <TextField
              label="Sign-in name"
              value={login}
              onChange={setLogin}
              error={problems.of('login')}
              hint="For example an e-mail address"
            />
          )}
          <TextField
            label="Shown name"
            value={name}
            onChange={setName}
            error={problems.of('name')}
          />
          <TenantFields tenant={tenant} error={problems.of} onChange={setTenant} />
          <TextField
            label={user === null ? 'Password' : 'New password'}
            type="password"
            value={password}
            onChange={setPassword}
            hint={
              user === null
                ? 'At least 10 characters'
                : 'Empty: as it is. A new one signs the user out everywhere'
            }
            error={problems.of('password')}
          />
        </div>
        <DialogEnd
          error={problems.general}
          submit="Save user"
          disabled={change.isPending}
          onCancel={onClose}
        />
      </form>
    </Dialog>
  );
}

export function UsersPage() {
  const query = useQuery({
    queryKey: ['users'],
    queryFn: ({ signal }) => get<{ rows: User[] }>('/users', signal),
  });
  const [open, setOpen] = useState<User | 'new' | null>(null);
  const change = useUserChange();
  const notices = useNotices();
  const tenantName = useTenantName();

  async function setStatus(user: User, status: User['status']): Promise<void> {
    const patch = (next: User['status']) =>
      change.mutateAsync({ id: user.id, body: { status: next } });
    await patch(status).then(
      () => notices.tell(`${user.login} is ${status}`, () => patch(user.status)),
      notices.fail,
    );
  }

  return (
    <>
      <PageHead title="Users">
        <button type="button" className="button primary" onClick={() => setOpen('new')}>
          New user
        </button>
      </PageHead>
      <Await query={query} what="users">
        {({ rows }) => (
          <section className="table-frame" tabIndex={0} aria-label="Users">
            <table>
              <thead>
                <tr>
                  <th scope="col">Sign-in name</th>
                  <th scope="col">Name</th>
                  <th scope="col">Role</th>
                  <th scope="col">Of</th>
                  <th scope="col">Status</th>
                  <th scope="col">
                    <span className="visually-hidden">Actions</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {rows.map((user) => (
                  <tr key={user.id}>
                    <td>{user.login}</td>
                    <td>{user.name}</td>
                    <td>{user.role}</td>
                    <td>{tenantName(user)}</td>
                    <td>
                      <Badge value={user.status} />
                    </td>
                    <td>
                      <div className="actions">
                        <button
                          type="button"
                          className="button small"
                          onClick={() => setOpen(user)}
                        >
                          Edit<span className="visually-hidden"> {user.login}</span>
                        </button>
                        <button
                          type="button"
                          className="button small"
                          onClick={() =>
                            void setStatus(user, user.status === 'active' ? 'disabled' : 'active')
                          }
                        >
                          {user.status === 'active' ? 'Disable' : 'Enable'}
                          <span className="visually-hidden"> {user.login}</span>
                        </button>
                      </div>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </section>
        )}
      </Await>
      {open !== null && (
        <UserDialog user={open === 'new' ? null : open} onClose={() => setOpen(null)} />
      )}
    </>
  );
}
