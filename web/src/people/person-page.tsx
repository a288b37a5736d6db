/** One affiliate or advertiser: name, status, token, and what belongs to it. */
import { Link } from 'wouter';
import {
  ADVERTISER_STATUSES,
  AFFILIATE_STATUSES,
  type Affiliate,
} from '../../../src/domain/catalogue.ts';
import { useCatalogue, type Advertiser } from '../api/catalogue.ts';
import { AffiliatePostbacks } from '../postbacks/affiliate-postbacks.tsx';
import { Badge, PageHead } from '../ui/bits.tsx';
import { DraftForm } from '../ui/draft-form.tsx';
import { useDraft } from '../ui/draft.ts';
import { ChoiceField, TextField } from '../ui/inputs.tsx';
import { Await, Empty } from '../ui/states.tsx';
import { TokenCard } from './token-card.tsx';

function AdvertiserForm({ advertiser }: { advertiser: Advertiser }) {
  const draft = useDraft('advertisers', String(advertiser.id), advertiser);
  return (
    <DraftForm draft={draft} label="Advertiser">
      <div className="grid">
        <TextField
          label="Name"
          value={draft.values.name}
          onChange={(name) => draft.set('name', name)}
          error={draft.error('name')}
        />
        <ChoiceField
          label="Status"
          value={draft.values.status}
          options={ADVERTISER_STATUSES}
          onChange={(status) => draft.set('status', status)}
        />
      </div>
    </DraftForm>
  );
}

function AffiliateForm({ affiliate }: { affiliate: Affiliate }) {
  const draft = useDraft('affiliates', String(affiliate.id), affiliate);
  return (
    <DraftForm draft={draft} label="Affiliate">
      <div className="grid">
        <TextField
          label="Name"
          value={draft.values.name}
          onChange={(name) => draft.set('name', name)}
          error={draft.error('name')}
        />
        <ChoiceField
          label="Status"
          value={draft.values.status}
          options={AFFILIATE_STATUSES}
          hint="Only an active affiliate’s clicks and codes count"
          onChange={(status) => draft.set('status', status)}
        />
      </div>
    </DraftForm>
  );
}

const REPORTS_OF_ALL = ['clicks', 'transactions', 'invalid-traffic', 'postbacks'];

function ReportLinks({ filter, reports }: { filter: string; reports: readonly string[] }) {
  return (
    <section className="card">
      <h2>Reports</h2>
      <ul>
        {reports.map((report) => (
          <li key={report}>
            <Link href={`/reports/${report}?${filter}`}>{report.replaceAll('-', ' ')}</Link>
          </li>
        ))}
      </ul>
    </section>
  );
}

export function AdvertiserPage({ id }: { id: string }) {
  const query = useCatalogue('advertisers');
  const offers = useCatalogue('offers').data ?? [];
  return (
    <Await query={query} what="the advertiser">
      {(all) => {
        const advertiser = all.find((candidate) => String(candidate.id) === id);
        if (advertiser === undefined) return <Empty title="There is no such advertiser" />;
        return (
          <>
            <PageHead title={`${advertiser.name} #${id}`} back={['/advertisers', 'Advertisers']}>
              <Badge value={advertiser.status} />
            </PageHead>
            <AdvertiserForm advertiser={advertiser} />
            <div className="columns">
              <TokenCard advertiser={advertiser} />
              <section className="card">
                <h2>Offers</h2>
                <ul>
                  {offers
                    .filter(({ advertiser_id }) => advertiser_id === advertiser.id)
                    .map((offer) => (
                      <li key={offer.id}>
                        <Link href={`/offers/${offer.id}`}>{offer.title}</Link>{' '}
                        <Badge value={offer.status} />
                      </li>
                    ))}
                </ul>
              </section>
              <ReportLinks filter={`advertiser_id=${id}`} reports={REPORTS_OF_ALL} />
            </div>
          </>
        );
      }}
    </Await>
  );
}

export function AffiliatePage({ id }: { id: string }) {
  const query = useCatalogue('affiliates');
  const codes = useCatalogue('promo-codes').data ?? [];
  return (
    <Await query={query} what="the affiliate">
      {(all) => {
        const affiliate = all.find((candidate) => String(candidate.id) === id);
        if (affiliate === undefined) return <Empty title="There is no such affiliate" />;
        return (
          <>
            <PageHead title={`${affiliate.name} #${id}`} back={['/affiliates', 'Affiliates']}>
              <Badge value={affiliate.status} />
            </PageHead>
            <AffiliateForm affiliate={affiliate} />
            <div className="columns">
              <section className="card">
                <h2>Promo codes</h2>
                <ul>
                  {codes
                    .filter(({ affiliate_id }) => affiliate_id === affiliate.id)
                    .map((promo) => (
                      <li key={promo.id}>
                        <Link className="mono" href={`/offers/${promo.offer_id}/promo-codes`}>
                          {promo.code}
                        </Link>
                      </li>
                    ))}
                </ul>
              </section>
              <ReportLinks
                filter={`affiliate_id=${id}`}
                reports={[...REPORTS_OF_ALL, 'affiliate-postbacks']}
              />
            </div>
            <AffiliatePostbacks affiliateId={affiliate.id} />
          </>
        );
      }}
    </Await>
  );
}
