/** The list of offers: found by title, id or advertiser, narrowed by status; managers add one here. */
import { useState } from 'react';
import { Link, useLocation } from 'wouter';
import { OFFER_STATUSES, type Offer } from '../../../src/domain/catalogue.ts';
import { useCatalogue, useChange, useNames } from '../api/catalogue.ts';
import { useSession } from '../api/session.tsx';
import { RequestableOffers } from '../portal/requestable-offers.tsx';
import { Badge, PageHead } from '../ui/bits.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { useErrors } from '../ui/draft.ts';
import { ChoiceField, TextField } from '../ui/inputs.tsx';
import { Await, Empty } from '../ui/states.tsx';
import { DialogEnd } from '../ui/dialog-end.tsx';

function NewOfferDialog({ onClose }: { onClose: () => void }) {
  const advertisers = useCatalogue('advertisers').data ?? [];
  const [advertiser, setAdvertiser] = useState('');
  const [title, setTitle] = useState('');
  const [url, setUrl] = useState('');
  const [, navigate] = useLocation();
  const change = useChange();
  const problems = useErrors();
  const advertiserId = Number(advertiser === '' ? (advertisers[0]?.id ?? 0) : advertiser);

  async function create(): Promise<void> {
    try {
      const body = { advertiser_id: advertiserId, title, url, status: 'testing' };
      const made = (await change.mutateAsync({ method: 'POST', kind: 'offers', body })) as Offer;
      navigate(`/offers/${made.id}/general`);
    } catch (error) {
      problems.take(error);
    }
  }

  return (
    <Dialog title="New offer" onClose={onClose}>
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void create();
        }}
      >
        <div className="grid">
          <TextField label="Title" value={title} onChange={setTitle} error={problems.of('title')} />
          <ChoiceField
            label="Advertiser"
            value={String(advertiserId)}
            options={advertisers.map(({ id, name }) => [String(id), `${name} #${id}`] as const)}
            onChange={setAdvertiser}
            error={problems.of('advertiser_id')}
          />
          <TextField
            label="Landing URL"
            wide
            value={url}
            onChange={setUrl}
            placeholder="https://shop.example/?cid={click_id}"
            hint="{click_id} is filled with the click’s id. The offer begins as testing: it works, affiliates do not see it yet."
            error={problems.of('url')}
          />
        </div>
        <DialogEnd
          error={problems.general}
          submit="Create offer"
          disabled={change.isPending}
          onCancel={onClose}
        />
      </form>
    </Dialog>
  );
}

function OfferTable({
  offers,
  status,
  text,
}: {
  offers: readonly Offer[];
  status: string;
  text: string;
}) {
  const nameOf = useNames();
  const { user } = useSession();
  const wanted = text.trim().toLowerCase();
  const rows = offers.filter((offer) => {
    const words = `${offer.id} ${offer.title} ${nameOf('advertiser_id', offer.advertiser_id)}`;
    return (status === '' || offer.status === status) && words.toLowerCase().includes(wanted);
  });
  if (rows.length === 0)
    return <Empty title={offers.length === 0 ? 'There are no offers yet' : 'No offer matches'} />;
  return (
    <section className="table-frame" tabIndex={0} aria-label="Offers">
      <table>
        <thead>
          <tr>
            <th scope="col">ID</th>
            <th scope="col">Title</th>
            {user.role === 'manager' && <th scope="col">Advertiser</th>}
            <th scope="col">Status</th>
            <th scope="col">Availability</th>
            <th scope="col">Promo Codes</th>
            <th scope="col">Zone</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((offer) => (
            <tr key={offer.id}>
              <td>{offer.id}</td>
              <td>
                <Link href={`/offers/${offer.id}`}>{offer.title}</Link>
              </td>
              {user.role === 'manager' && <td>{nameOf('advertiser_id', offer.advertiser_id)}</td>}
              <td>
                <Badge value={offer.status} />
              </td>
              <td>{offer.availability.replaceAll('_', ' ')}</td>
              <td>{offer.promo_codes_enabled ? 'on' : 'off'}</td>
              <td>{offer.timezone}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

export function OffersPage() {
  const offers = useCatalogue('offers');
  const { user } = useSession();
  const [text, setText] = useState('');
  const [status, setStatus] = useState('');
  const [creating, setCreating] = useState(false);
  return (
    <>
      <PageHead title="Offers">
        {user.role === 'manager' && (
          <button type="button" className="button primary" onClick={() => setCreating(true)}>
            New offer
          </button>
        )}
      </PageHead>
      <div className="filters">
        <TextField
          label="Find"
          type="search"
          value={text}
          onChange={setText}
          placeholder="title or id"
        />
        <ChoiceField
          label="Status"
          value={status}
          options={[['', 'any'], ...OFFER_STATUSES.map((name) => [name, name] as const)]}
          onChange={setStatus}
        />
      </div>
      <Await query={offers} what="offers">
        {(rows) => <OfferTable offers={rows} status={status} text={text} />}
      </Await>
      {user.role === 'affiliate' && <RequestableOffers />}
      {creating && <NewOfferDialog onClose={() => setCreating(false)} />}
    </>
  );
}
