/** One offer with its tabs. Tenants get the tabs that say something to them, read-only. */
import type { ReactNode } from 'react';
import type { Offer } from '../../../src/domain/catalogue.ts';
import type { User } from '../../../src/domain/user.ts';
import { useCatalogue, useChange } from '../api/catalogue.ts';
import { useSession } from '../api/session.tsx';
import { PromoCodes } from '../promo-codes/promo-codes.tsx';
import { AffiliateOffer } from '../portal/affiliate-offer.tsx';
import { Badge, PageHead, Tabs } from '../ui/bits.tsx';
import { useNotices } from '../ui/notices.tsx';
import { Await, Empty } from '../ui/states.tsx';
import { useLocation } from 'wouter';
import { DeploymentsTab } from './deployments-tab.tsx';
import { GeneralTab } from './general-tab.tsx';
import { GoalsTab } from './goals-tab.tsx';
import { LimitationsTab } from './limitations-tab.tsx';
import { LinkBuilder } from './links-tab.tsx';
import { SnippetsTab } from './snippets-tab.tsx';
import { TrackingTab } from './tracking-tab.tsx';

interface OfferTab {
  readonly name: string;
  readonly label: string;
  readonly roles: readonly User['role'][];
  readonly render: (offer: Offer, editable: boolean) => ReactNode;
}

const TABS: readonly OfferTab[] = [
  {
    name: 'general',
    label: 'General',
    roles: ['manager'],
    render: (offer) => <GeneralTab offer={offer} />,
  },
  {
    name: 'tracking',
    label: 'Tracking settings',
    roles: ['manager'],
    render: (offer) => <TrackingTab offer={offer} />,
  },
  {
    name: 'limitations',
    label: 'Limitations',
    roles: ['manager'],
    render: (offer) => <LimitationsTab offer={offer} />,
  },
  {
    name: 'goals',
    label: 'Goals',
    roles: ['manager', 'advertiser'],
    render: (offer, editable) => <GoalsTab offer={offer} editable={editable} />,
  },
  {
    name: 'deployments',
    label: 'Deployments',
    roles: ['manager'],
    render: (offer) => <DeploymentsTab offer={offer} />,
  },
  {
    name: 'promo-codes',
    label: 'Promo Codes',
    roles: ['manager', 'advertiser'],
    render: (offer, editable) => <PromoCodes offer={offer} editable={editable} />,
  },
  {
    name: 'links',
    label: 'Link builder',
    roles: ['manager'],
    render: (offer) => <LinkBuilder offer={offer} />,
  },
  {
    name: 'snippets',
    label: 'Snippets',
    roles: ['manager', 'advertiser'],
    render: (offer) => <SnippetsTab offer={offer} />,
  },
];

function DeleteOffer({ offer }: { offer: Offer }) {
  const change = useChange();
  const notices = useNotices();
  const [, navigate] = useLocation();
  async function remove(): Promise<void> {
    const text =
      'Its clicks and transactions stay; its tracking links stop working. This can’t be undone; an inactive offer can.';
    if (!(await notices.confirm(`Delete the offer ${offer.title}?`, text, 'Delete offer'))) return;
    await change
      .mutateAsync({ method: 'DELETE', kind: 'offers', id: String(offer.id) })
      .then(() => {
        notices.tell('Offer deleted');
        navigate('/offers');
      }, notices.fail);
  }
  return (
    <button type="button" className="button danger" onClick={() => void remove()}>
      Delete
    </button>
  );
}

export function OfferPage({ id, tab }: { id: string; tab: string | undefined }) {
  const offers = useCatalogue('offers');
  const { user } = useSession();
  return (
    <Await query={offers} what="the offer">
      {(all) => {
        const offer = all.find((candidate) => String(candidate.id) === id);
        if (offer === undefined) return <Empty title="There is no such offer" />;
        if (user.role === 'affiliate') return <AffiliateOffer offer={offer} />;
        const tabs = TABS.filter(({ roles }) => roles.includes(user.role));
        const current = tabs.find(({ name }) => name === tab) ?? tabs[0];
        return (
          <>
            <PageHead title={`${offer.title} #${offer.id}`} back={['/offers', 'Offers']}>
              <Badge value={offer.status} />
              {user.role === 'manager' && <DeleteOffer offer={offer} />}
            </PageHead>
            <Tabs
              label="Offer"
              tabs={tabs.map(({ name, label }) => ({ href: `/offers/${id}/${name}`, label }))}
              current={`/offers/${id}/${current?.name ?? ''}`}
            />
            {/* The key: another version of the offer begins its forms anew. */}
            <div key={`${id} ${current?.name ?? ''}`}>
              {current?.render(offer, user.role === 'manager')}
            </div>
          </>
        );
      }}
    </Await>
  );
}
