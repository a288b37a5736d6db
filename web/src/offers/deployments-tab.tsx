/** Offer → Deployments: which affiliates asked, and who may promote it. */
import { useState } from 'react';
import { DEPLOYMENT_STATUSES, type Deployment, type Offer } from '../../../src/domain/catalogue.ts';
import { useCatalogue, useChange, useNames } from '../api/catalogue.ts';
import { Badge } from '../ui/bits.tsx';
import { ChoiceField } from '../ui/inputs.tsx';
import { useNotices } from '../ui/notices.tsx';
import { Await, Empty } from '../ui/states.tsx';

const idOf = (deployment: Deployment): string =>
  `${deployment.offer_id}:${deployment.affiliate_id}`;

export function DeploymentsTab({ offer }: { offer: Offer }) {
  const deployments = useCatalogue('deployments');
  const affiliates = useCatalogue('affiliates').data ?? [];
  const [chosen, setChosen] = useState('');
  const nameOf = useNames();
  const change = useChange();
  const notices = useNotices();

  async function setStatus(deployment: Deployment, status: Deployment['status']): Promise<void> {
    const patch = (next: string) =>
      change.mutateAsync({
        method: 'PATCH',
        kind: 'deployments',
        id: idOf(deployment),
        body: { status: next },
      });
    await patch(status).then(
      () =>
        notices.tell(`${nameOf('affiliate_id', deployment.affiliate_id)}: ${status}`, () =>
          patch(deployment.status),
        ),
      notices.fail,
    );
  }

  async function add(): Promise<void> {
    const body = { offer_id: offer.id, affiliate_id: Number(chosen), status: 'approved' };
    await change.mutateAsync({ method: 'POST', kind: 'deployments', body }).then(
      () =>
        notices.tell('Affiliate approved', () =>
          change.mutateAsync({
            method: 'DELETE',
            kind: 'deployments',
            id: `${offer.id}:${chosen}`,
          }),
        ),
      notices.fail,
    );
    setChosen('');
  }

  return (
    <Await query={deployments} what="deployments">
      {(all) => {
        const rows = all.filter(({ offer_id }) => offer_id === offer.id);
        const free = affiliates.filter(
          ({ id }) => !rows.some(({ affiliate_id }) => affiliate_id === id),
        );
        return (
          <>
            {offer.availability === 'public' && (
              <p className="callout">
                The offer is public: every active affiliate may promote it without a deployment.
              </p>
            )}
            <div className="filters">
              <ChoiceField
                label="Approve an affiliate"
                value={chosen}
                options={[
                  ['', 'choose…'],
                  ...free.map(({ id, name }) => [String(id), `${name} #${id}`] as const),
                ]}
                onChange={setChosen}
              />
              <button
                type="button"
                className="button"
                disabled={chosen === ''}
                onClick={() => void add()}
              >
                Approve
              </button>
            </div>
            {rows.length === 0 ? (
              <Empty title="No deployments" />
            ) : (
              <section className="table-frame" tabIndex={0} aria-label="Deployments">
                <table>
                  <thead>
                    <tr>
                      <th scope="col">Affiliate</th>
                      <th scope="col">Status</th>
                      <th scope="col">Change</th>
                    </tr>
                  </thead>
                  <tbody>
                    {rows.map((deployment) => (
                      <tr key={deployment.affiliate_id}>
                        <td>
                          {nameOf('affiliate_id', deployment.affiliate_id)} #
                          {deployment.affiliate_id}
                        </td>
                        <td>
                          <Badge value={deployment.status} />
                        </td>
                        <td>
                          <div className="actions">
                            {DEPLOYMENT_STATUSES.filter(
                              (status) => status !== deployment.status,
                            ).map((status) => (
                              <button
                                key={status}
                                type="button"
                                className="button small"
                                onClick={() => void setStatus(deployment, status)}
                              >
                                {status}
                              </button>
                            ))}
                          </div>
                        </td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </section>
            )}
          </>
        );
      }}
    </Await>
  );
}
