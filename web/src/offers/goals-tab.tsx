/** Offer → Goals: what counts, what it pays, how full its caps are. */
import { useState } from 'react';
import type { Goal, Offer } from '../../../src/domain/catalogue.ts';
import { useCatalogue, useChange } from '../api/catalogue.ts';
import { formatMoney } from '../format.ts';
import { Badge } from '../ui/bits.tsx';
import { useNotices } from '../ui/notices.tsx';
import { Await, Empty } from '../ui/states.tsx';
import { CapsFill } from './caps-fill.tsx';
import { GoalDialog } from './goal-dialog.tsx';

function switchesOf(goal: Goal): string {
  const on = [
    goal.multiple_conversions ? 'multiple conversions' : 'one a click',
    goal.unique_track_id ? 'unique track id' : '',
    goal.unique_order_id ? 'unique order id' : '',
  ];
  return on.filter((text) => text !== '').join(', ');
}

export function GoalsTab({ offer, editable }: { offer: Offer; editable: boolean }) {
  const goals = useCatalogue('goals');
  const [open, setOpen] = useState<Goal | 'new' | null>(null);
  const change = useChange();
  const notices = useNotices();

  async function remove(goal: Goal): Promise<void> {
    const text = `Calls for goal ${goal.id} will be rejected as Goal Not Found. Transactions stay. This can’t be undone; an inactive goal can.`;
    if (!(await notices.confirm(`Delete the goal ${goal.alias}?`, text, 'Delete goal'))) return;
    await change
      .mutateAsync({ method: 'DELETE', kind: 'goals', id: String(goal.id) })
      .then(() => notices.tell('Goal deleted'), notices.fail);
  }

  return (
    <Await query={goals} what="goals">
      {(all) => {
        const rows = all.filter((goal) => goal.offer_id === offer.id);
        return (
          <>
            {editable && (
              <div className="filters">
                <button type="button" className="button primary" onClick={() => setOpen('new')}>
                  New goal
                </button>
              </div>
            )}
            {rows.length === 0 ? (
              <Empty title="No goal yet">
                Without a goal no conversion of this offer can count.
              </Empty>
            ) : (
              <section className="table-frame" tabIndex={0} aria-label="Goals">
                <table>
                  <thead>
                    <tr>
                      <th scope="col">ID</th>
                      <th scope="col">Goal</th>
                      <th scope="col">Status</th>
                      <th scope="col" className="number">
                        Payout
                      </th>
                      <th scope="col" className="number">
                        Revenue
                      </th>
                      <th scope="col">Switches</th>
                      <th scope="col">Caps and their fill</th>
                      {editable && (
                        <th scope="col">
                          <span className="visually-hidden">Actions</span>
                        </th>
                      )}
                    </tr>
                  </thead>
                  <tbody>
                    {rows.map((goal) => (
                      <tr key={goal.id}>
                        <td>{goal.id}</td>
                        <td>
                          {goal.title === '' ? goal.alias : `${goal.title} (${goal.alias})`}{' '}
                          {goal.type} {goal.default && <Badge value="default" />}
                        </td>
                        <td>
                          <Badge value={goal.status} />{' '}
                          <span className="hint">new: {goal.conversion_status}</span>
                        </td>
                        <td className="number">
                          {formatMoney(Number(goal.payout), goal.currency)}
                        </td>
                        <td className="number">
                          {formatMoney(Number(goal.revenue), goal.currency)}
                        </td>
                        <td className="wrap">{switchesOf(goal)}</td>
                        <td>
                          <CapsFill offer={offer} goal={goal} />
                        </td>
                        {editable && (
                          <td>
                            <div className="actions">
                              <button
                                type="button"
                                className="button small"
                                onClick={() => setOpen(goal)}
                              >
                                Edit<span className="visually-hidden"> goal {goal.alias}</span>
                              </button>
                              <button
                                type="button"
                                className="button small"
                                onClick={() => void remove(goal)}
                              >
                                Delete<span className="visually-hidden"> goal {goal.alias}</span>
                              </button>
                            </div>
                          </td>
                        )}
                      </tr>
                    ))}
                  </tbody>
                </table>
              </section>
            )}
            {open !== null && (
              <GoalDialog
                offer={offer}
                goal={open === 'new' ? null : open}
                isFirst={rows.length === 0}
                onClose={() => setOpen(null)}
              />
            )}
          </>
        );
      }}
    </Await>
  );
}
