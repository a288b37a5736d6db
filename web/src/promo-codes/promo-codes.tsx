/** Promo codes of an offer (or of all offers one sees): the list, +, edit, delete, bulk paste. Read-only for tenants. */
import { useState } from 'react';
import type { Offer, PromoCode } from '../../../src/domain/catalogue.ts';
import { useCatalogue, useChange, useNames } from '../api/catalogue.ts';
import { useSession } from '../api/session.tsx';
import { todayIn } from '../period.ts';
import { Badge, CopyButton } from '../ui/bits.tsx';
import { useNotices } from '../ui/notices.tsx';
import { Await, Empty } from '../ui/states.tsx';
import { BulkDialog } from './bulk-dialog.tsx';
import { PromoCodeDialog } from './promo-code-dialog.tsx';

/** Whether the code counts today, in the offer's zone, as the judge will say it. */
function stateOf(promo: PromoCode, offer: Offer | undefined): [string, string] {
  if (offer === undefined) return ['unknown', 'off'];
  const today = todayIn(offer.timezone);
  if (!offer.promo_codes_enabled) return ['promo codes off', 'off'];
  if (promo.start_date !== null && promo.start_date > today) return ['not yet', 'wait'];
  if (promo.end_date !== null && promo.end_date < today) return ['ended', 'bad'];
  return ['valid', 'good'];
}

function PromoCodeRow(props: {
  promo: PromoCode;
  offer: Offer | undefined;
  showOffer: boolean;
  onEdit: (() => void) | undefined;
  onDelete: () => void;
}) {
  const { promo, offer, showOffer, onEdit, onDelete } = props;
  const { user } = useSession();
  const nameOf = useNames();
  const [state, tone] = stateOf(promo, offer);
  return (
    <tr>
      <td>
        <strong className="mono">{promo.code}</strong>{' '}
        <CopyButton text={promo.code} label={`Copy ${promo.code}`} />
      </td>
      {showOffer && <td>{offer?.title ?? promo.offer_id}</td>}
      {user.role !== 'affiliate' && (
        <td>
          {nameOf('affiliate_id', promo.affiliate_id)} #{promo.affiliate_id}
        </td>
      )}
      <td>{promo.start_date ?? '—'}</td>
      <td>{promo.end_date ?? '—'}</td>
      <td>
        <Badge value={state} tone={tone} />
      </td>
      <td className="wrap">{promo.description}</td>
      {onEdit !== undefined && (
        <td>
          <div className="actions">
            <button type="button" className="button small" onClick={onEdit}>
              Edit<span className="visually-hidden"> {promo.code}</span>
            </button>
            <button type="button" className="button small" onClick={onDelete}>
              Delete<span className="visually-hidden"> {promo.code}</span>
            </button>
          </div>
        </td>
      )}
    </tr>
  );
}

export function PromoCodes({ offer, editable }: { offer: Offer | null; editable: boolean }) {
  const codes = useCatalogue('promo-codes');
  const offers = useCatalogue('offers').data ?? [];
  const { user } = useSession();
  const [open, setOpen] = useState<PromoCode | 'new' | 'bulk' | null>(null);
  const change = useChange();
  const notices = useNotices();

  async function remove(promo: PromoCode): Promise<void> {
    const text = `Orders with this code will be rejected as Promo Code Not Found. Transactions stay. This can’t be undone; an end date can.`;
    if (!(await notices.confirm(`Delete the promo code ${promo.code}?`, text, 'Delete promo code')))
      return;
    await change
      .mutateAsync({ method: 'DELETE', kind: 'promo-codes', id: String(promo.id) })
      .then(() => notices.tell('Promo code deleted'), notices.fail);
  }

  return (
    <section className="card" aria-labelledby="promo-codes">
      <div className="page-head">
        <h2 id="promo-codes">Promo Codes</h2>
        {editable && (
          <div className="actions">
            <button
              type="button"
              className="button primary"
              aria-label="Add a promo code"
              onClick={() => setOpen('new')}
            >
              +
            </button>
            <button type="button" className="button" onClick={() => setOpen('bulk')}>
              Paste many
            </button>
          </div>
        )}
      </div>
      {offer !== null && !offer.promo_codes_enabled && (
        <p className="callout">
          Promo Codes are off for this offer
          {editable ? ': switch them on under Tracking settings' : ''}.
        </p>
      )}
      <Await query={codes} what="promo codes">
        {(all) => {
          const rows = offer === null ? all : all.filter(({ offer_id }) => offer_id === offer.id);
          if (rows.length === 0) return <Empty title="No promo codes" />;
          return (
            <section className="table-frame" tabIndex={0} aria-label="Promo codes">
              <table>
                <thead>
                  <tr>
                    <th scope="col">Code</th>
                    {offer === null && <th scope="col">Offer</th>}
                    {user.role !== 'affiliate' && <th scope="col">Affiliate</th>}
                    <th scope="col">Start date</th>
                    <th scope="col">End date</th>
                    <th scope="col">State</th>
                    <th scope="col">Description</th>
                    {editable && (
                      <th scope="col">
                        <span className="visually-hidden">Actions</span>
                      </th>
                    )}
                  </tr>
                </thead>
                <tbody>
                  {rows.map((promo) => (
                    <PromoCodeRow
                      key={promo.id}
                      promo={promo}
                      offer={offers.find(({ id }) => id === promo.offer_id)}
                      showOffer={offer === null}
                      onEdit={editable ? () => setOpen(promo) : undefined}
                      onDelete={() => void remove(promo)}
                    />
                  ))}
                </tbody>
              </table>
            </section>
          );
        }}
      </Await>
      {offer !== null && open === 'bulk' && (
        <BulkDialog offer={offer} onClose={() => setOpen(null)} />
      )}
      {offer !== null && open !== null && open !== 'bulk' && (
        <PromoCodeDialog
          offer={offer}
          promo={open === 'new' ? null : open}
          onClose={() => setOpen(null)}
        />
      )}
    </section>
  );
}
