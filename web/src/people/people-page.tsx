/** The lists of affiliates and advertisers, with their status changed in place. */
import { useState } from 'react';
import { Link } from 'wouter';
import { ADVERTISER_STATUSES, AFFILIATE_STATUSES } from '../../../src/domain/catalogue.ts';
import { useCatalogue, useChange } from '../api/catalogue.ts';
import { Badge, PageHead } from '../ui/bits.tsx';
import { ChoiceField, TextField } from '../ui/inputs.tsx';
import { useNotices } from '../ui/notices.tsx';
import { Await, Empty } from '../ui/states.tsx';
import { CreateDialog } from './create-dialog.tsx';

interface Person {
  readonly id: number;
  readonly name: string;
  readonly status: string;
  readonly has_token?: boolean;
  readonly require_token?: boolean;
}
type PeopleKind = 'affiliates' | 'advertisers';

const TITLES = { affiliates: 'Affiliates', advertisers: 'Advertisers' } as const;
const NOUNS = { affiliates: 'affiliate', advertisers: 'advertiser' } as const;
const STATUSES = { affiliates: AFFILIATE_STATUSES, advertisers: ADVERTISER_STATUSES } as const;

export function useSetStatus(kind: PeopleKind) {
  const change = useChange();
  const notices = useNotices();
  return async (person: Person, status: string): Promise<void> => {
    const patch = (next: string) =>
      change.mutateAsync({ method: 'PATCH', kind, id: String(person.id), body: { status: next } });
    await patch(status).then(
      () => notices.tell(`${person.name} is ${status}`, () => patch(person.status)),
      notices.fail,
    );
  };
}

function PeopleTable({ kind, people }: { kind: PeopleKind; people: readonly Person[] }) {
  const setStatus = useSetStatus(kind);
  return (
    <section className="table-frame" tabIndex={0} aria-label={TITLES[kind]}>
      <table>
        <thead>
          <tr>
            <th scope="col">ID</th>
            <th scope="col">Name</th>
            <th scope="col">Status</th>
            {kind === 'advertisers' && <th scope="col">Token</th>}
            <th scope="col">Change status</th>
          </tr>
        </thead>
        <tbody>
          {people.map((person) => (
            <tr key={person.id}>
              <td>{person.id}</td>
              <td>
                <Link href={`/${kind}/${person.id}`}>{person.name}</Link>
              </td>
              <td>
                <Badge value={person.status} />
              </td>
              {kind === 'advertisers' && (
                <td>
                  {person.has_token === true
                    ? person.require_token === true
                      ? 'required'
                      : 'set'
                    : 'none'}
                </td>
              )}
              <td>
                <select
                  aria-label={`Status of ${person.name}`}
                  value={person.status}
                  onChange={(event) => void setStatus(person, event.target.value)}
                >
                  {STATUSES[kind].map((status) => (
                    <option key={status}>{status}</option>
                  ))}
                </select>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

export function PeoplePage({ kind }: { kind: PeopleKind }) {
  const query = useCatalogue(kind);
  const [text, setText] = useState('');
  const [status, setStatus] = useState('');
  const [creating, setCreating] = useState(false);
  return (
    <>
      <PageHead title={TITLES[kind]}>
        <button type="button" className="button primary" onClick={() => setCreating(true)}>
          New {NOUNS[kind]}
        </button>
      </PageHead>
      <div className="filters">
        <TextField
          label="Find"
          type="search"
          value={text}
          onChange={setText}
          placeholder="name or id"
        />
        <ChoiceField
          label="Status"
          value={status}
          options={[['', 'any'], ...STATUSES[kind].map((name) => [name, name] as const)]}
          onChange={setStatus}
        />
      </div>
      <Await query={query} what={TITLES[kind].toLowerCase()}>
        {(all) => {
          const wanted = text.trim().toLowerCase();
          const people = (all as readonly Person[]).filter(
            (person) =>
              (status === '' || person.status === status) &&
              `${person.id} ${person.name}`.toLowerCase().includes(wanted),
          );
          if (people.length === 0)
            return (
              <Empty title={all.length === 0 ? `There are no ${kind} yet` : 'Nobody matches'} />
            );
          return <PeopleTable kind={kind} people={people} />;
        }}
      </Await>
      {creating && (
        <CreateDialog kind={kind} noun={NOUNS[kind]} onClose={() => setCreating(false)} />
      )}
    </>
  );
}
