/** A small network for browser tests, made through the API as a manager would: two brands, two affiliates, their users. */
import { signIn, type BrowserSession } from './browser-session.ts';
import type { RunningSluice } from './start-sluice.ts';

export const PASSWORD = 'a quite long password';

export interface Network {
  readonly admin: BrowserSession;
  readonly acme: number;
  readonly other: number;
  readonly blogger: number;
  readonly rival: number;
  /** An offer of Acme with a default goal `sale`. */
  readonly offer: number;
  readonly goal: number;
  /** An offer of the other brand, by request. */
  readonly otherOffer: number;
}

async function create(admin: BrowserSession, kind: string, body: object): Promise<number> {
  const answer = await admin.send('POST', `/${kind}`, body);
  if (answer.status !== 201) throw new Error(`${kind}: ${JSON.stringify(answer.body)}`);
  return Number(answer.body['id']);
}

/** Users: `blogger` and `rival` (affiliates), `acme` and `other` (advertisers). */
export async function createNetwork(sluice: RunningSluice, landingUrl: string): Promise<Network> {
  const admin = await signIn(sluice.apiUrl, 'admin', sluice.adminKey);
  const acme = await create(admin, 'advertisers', { name: 'Acme' });
  const other = await create(admin, 'advertisers', { name: 'Other brand' });
  const blogger = await create(admin, 'affiliates', { name: 'Blogger' });
  const rival = await create(admin, 'affiliates', { name: 'Rival' });
  const url = `${landingUrl}?cid={click_id}`;
  const offer = await create(admin, 'offers', { advertiser_id: acme, title: 'Acme Shop', url });
  const sale = {
    alias: 'sale',
    title: 'Sale',
    default: true,
    payout: '5',
    revenue: '8',
    currency: 'EUR',
  };
  const goal = await create(admin, 'goals', { ...sale, offer_id: offer });
  const otherOffer = await create(admin, 'offers', {
    advertiser_id: other,
    title: 'Secret deal',
    url,
    availability: 'by_request',
  });
  await create(admin, 'goals', { ...sale, offer_id: otherOffer });
  const user = (login: string, tenant: object): Promise<number> =>
    create(admin, 'users', { login, password: PASSWORD, ...tenant });
  await user('blogger', { role: 'affiliate', affiliate_id: blogger });
  await user('rival', { role: 'affiliate', affiliate_id: rival });
  await user('acme', { role: 'advertiser', advertiser_id: acme });
  await user('other', { role: 'advertiser', advertiser_id: other });
  return { admin, acme, other, blogger, rival, offer, goal, otherOffer };
}
