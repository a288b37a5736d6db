/** Where an affiliate is told of its conversions: the list, +, edit, delete; on the affiliate's page and in its portal. */
import { useState } from 'react';
import type { AffiliatePostback } from '../../../src/domain/catalogue.ts';
import { useCatalogue, useChange, useNames } from '../api/catalogue.ts';
import { useSession } from '../api/session.tsx';
import { Badge, PageHead } from '../ui/bits.tsx';
import { useNotices } from '../ui/notices.tsx';
import { Await, Empty } from '../ui/states.tsx';
import { PostbackDialog } from './postback-dialog.tsx';

function PostbackRow(props: {
  postback: AffiliatePostback;
  onEdit: () => void;
  onDelete: () => void;
}) {
  const { postback, onEdit, onDelete } = props;
  const nameOf = useNames();
  const { id, offer_id, goal_id, url, method, statuses, status } = postback;
  const named = (column: string, of: number): string => `${nameOf(column, of)} #${of}`;
  const scope =
    goal_id !== null
      ? `goal ${named('goal_id', goal_id)}`
      : offer_id !== null
        ? `offer ${named('offer_id', offer_id)}`
        : 'all offers';
  return (
    <tr>
      <td className="number">{id}</td>
      <td>{scope}</td>
      <td>{method}</td>
      <td className="wrap mono">{url}</td>
      <td>{statuses.join(', ')}</td>
      <td>
        <Badge value={status} />
      </td>
      <td>
        <div className="actions">
          <button type="button" className="button small" onClick={onEdit}>
            Edit<span className="visually-hidden"> postback {id}</span>
          </button>
          <button type="button" className="button small" onClick={onDelete}>
            Delete<span className="visually-hidden"> postback {id}</span>
          </button>
        </div>
      </td>
    </tr>
  );
}

const HEADS = ['#', 'For', 'Method', 'URL', 'Statuses', 'State'];

export function AffiliatePostbacks({ affiliateId }: { affiliateId: number }) {
  const postbacks = useCatalogue('affiliate-postbacks');
  const [open, setOpen] = useState<AffiliatePostback | 'new' | null>(null);
  const change = useChange();
  const notices = useNotices();

  async function remove({ id }: AffiliatePostback): Promise<void> {
    const text = 'Nothing is sent to it any more, also of what failed and waits. The log stays.';
    if (!(await notices.confirm(`Delete postback ${id}?`, text, 'Delete postback'))) return;
    await change
      .mutateAsync({ method: 'DELETE', kind: 'affiliate-postbacks', id: String(id) })
      .then(() => notices.tell('Postback deleted'), notices.fail);
  }

  return (
    <section className="card" aria-labelledby="postback-urls">
      <div className="page-head">
        <h2 id="postback-urls">Postback URLs</h2>
        <div className="actions">
          <button
            type="button"
            className="button primary"
            aria-label="Add a postback"
            onClick={() => setOpen('new')}
          >
            +
          </button>
        </div>
      </div>
      <p className="hint">
        Called when a conversion gets one of the statuses. One for a goal takes the place of those
        for its offer, which take the place of those for all offers.
      </p>
      <Await query={postbacks} what="postbacks">
        {(all) => {
          const rows = all.filter(({ affiliate_id }) => affiliate_id === affiliateId);
          if (rows.length === 0) return <Empty title="No postbacks" />;
          return (
            <section className="table-frame" tabIndex={0} aria-label="Postbacks">
              <table>
                <thead>
                  <tr>
                    {HEADS.map((head) => (
                      <th key={head} scope="col">
                        {head}
                      </th>
                    ))}
                    <th scope="col">
                      <span className="visually-hidden">Actions</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {rows.map((postback) => (
                    <PostbackRow
                      key={postback.id}
                      postback={postback}
                      onEdit={() => setOpen(postback)}
                      onDelete={() => void remove(postback)}
                    />
                  ))}
                </tbody>
              </table>
            </section>
          );
        }}
      </Await>
      {open !== null && (
        <PostbackDialog
          affiliateId={affiliateId}
          postback={open === 'new' ? null : open}
          onClose={() => setOpen(null)}
        />
      )}
    </section>
  );
}

/** The affiliate's own, in its portal. */
export function PostbacksPage() {
  const { user } = useSession();
  if (user.role !== 'affiliate') return <Empty title="There is no such page" />;
  return (
    <>
      <PageHead title="Postback URLs" />
      <AffiliatePostbacks affiliateId={user.affiliate_id} />
    </>
  );
}
