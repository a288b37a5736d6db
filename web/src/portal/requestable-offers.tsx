/** Offers by request: what an affiliate may ask for, and what became of it. */
import { useQuery } from '@tanstack/react-query';
import { useChange } from '../api/catalogue.ts';
import { get } from '../api/client.ts';
import { formatMoney } from '../format.ts';
import { Badge } from '../ui/bits.tsx';
import { useNotices } from '../ui/notices.tsx';
import { Await } from '../ui/states.tsx';

interface RequestableOffer {
  readonly id: number;
  readonly title: string;
  readonly request: string | null;
  readonly goals: readonly {
    readonly id: number;
    readonly title: string;
    readonly type: string;
    readonly payout: string;
    readonly currency: string;
  }[];
}

export function RequestableOffers() {
  const query = useQuery({
    queryKey: ['catalogue', 'requestable'],
    queryFn: ({ signal }) => get<{ rows: RequestableOffer[] }>('/requestable-offers', signal),
  });
  const change = useChange();
  const notices = useNotices();

  async function ask(offer: RequestableOffer): Promise<void> {
    const body = { offer_id: offer.id };
    await change
      .mutateAsync({ method: 'POST', kind: 'deployments', body })
      .then(() => notices.tell(`Asked for ${offer.title}`), notices.fail);
  }

  return (
    <Await query={query} what="offers by request">
      {({ rows }) =>
        rows.length === 0 ? null : (
          <section className="card" aria-labelledby="by-request">
            <h2 id="by-request">Offers by request</h2>
            <table>
              <thead>
                <tr>
                  <th scope="col">Offer</th>
                  <th scope="col">Pays</th>
                  <th scope="col">Request</th>
                </tr>
              </thead>
              <tbody>
                {rows.map((offer) => (
                  <tr key={offer.id}>
                    <td>{offer.title}</td>
                    <td className="wrap">
                      {offer.goals
                        .map(
                          (goal) =>
                            `${goal.title} ${formatMoney(Number(goal.payout), goal.currency)}`,
                        )
                        .join(', ')}
                    </td>
                    <td>
                      {offer.request === null ? (
                        <button
                          type="button"
                          className="button small"
                          onClick={() => void ask(offer)}
                        >
                          Request<span className="visually-hidden"> {offer.title}</span>
                        </button>
                      ) : (
                        <Badge value={offer.request} />
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </section>
        )
      }
    </Await>
  );
}
