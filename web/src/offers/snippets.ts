/** Ready-made tracking URLs and tags. Placeholders in capitals are the shop's to fill. */
import type { Goal, Offer } from '../../../src/domain/catalogue.ts';

export interface Snippet {
  readonly label: string;
  readonly text: string;
  readonly note: string;
}

export interface LinkParts {
  readonly offerId: number;
  readonly affiliateId: number;
  readonly deepLink: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** A query with macros and placeholders left readable. */
function query(parameters: Readonly<Record<string, string>>): string {
  return Object.entries(parameters)
    .filter(([, value]) => value !== '')
    .map(
      ([name, value]) =>
        `${name}=${encodeURIComponent(value).replaceAll('%7B', '{').replaceAll('%7D', '}')}`,
    )
    .join('&');
}

export function trackingLink(trackingUrl: string, parts: LinkParts): string {
  const { offerId, affiliateId, deepLink, parameters } = parts;
  const all = { o: String(offerId), a: String(affiliateId), ...parameters, deep_link: deepLink };
  return `${trackingUrl}/click?${query(all)}`;
}

/** The parameter of the landing URL that carries the click id. */
export function clickIdParameter(offer: Offer): string {
  return /[?&]([^=&]+)=\{click_id\}/.exec(offer.url)?.[1] ?? 'click_id';
}

function goalParameters(offer: Offer, goal: Goal | undefined): Record<string, string> {
  return goal === undefined || goal.default
    ? { offer_id: String(offer.id) }
    : { offer_id: String(offer.id), goal_id: String(goal.id) };
}

const tags = (label: string, url: string): readonly Snippet[] => [
  {
    label: `${label} as IMG`,
    text: `<img src="${url}&return=img" width="1" height="1" alt="">`,
    note: 'On the thank-you page only, not on every page.',
  },
  {
    label: `${label} as JS`,
    text: `<script src="${url}&return=js" async></script>`,
    note: 'On the thank-you page only.',
  },
  {
    label: `${label} as IFRAME`,
    text: `<iframe src="${url}&return=iframe" width="1" height="1" title="" style="border:0"></iframe>`,
    note: 'On the thank-you page only.',
  },
];

export function conversionSnippets(
  trackingUrl: string,
  offer: Offer,
  goal: Goal | undefined,
): readonly Snippet[] {
  const base = goalParameters(offer, goal);
  const values = 'amount=AMOUNT&adv_order_id=ORDER_ID';
  const postback = `${trackingUrl}/track/goal-by-click-id?click_id={click_id}&${query(base)}&${values}`;
  const pixel = `${trackingUrl}/track/goal?${query(base)}&${values}`;
  const page = `<script src="/sluice.js" data-tracker="${trackingUrl}" data-parameter="${clickIdParameter(offer)}"></script>`;
  const named = goal === undefined ? '' : `goal_id: ${goal.id}, `;
  return [
    {
      label: 'S2S postback',
      text: postback,
      note: `Called by the shop’s server. Put the click id that arrived in ${clickIdParameter(offer)} in the place of {click_id}.`,
    },
    ...tags('Pixel', pixel),
    {
      label: 'First-party script',
      text: `${page}\n<!-- on the thank-you page, below it -->\n<script>sluice.convert({ offer_id: ${offer.id}, ${named}amount: 'AMOUNT', adv_order_id: 'ORDER_ID' });</script>`,
      note: 'Keeps the click id in a cookie of the shop itself, so it works where browsers block cookies of other sites. Put sluice.js on the shop’s own site, and the first line on every page.',
    },
  ];
}

export function promoSnippets(trackingUrl: string, offer: Offer): readonly Snippet[] {
  const url = `${trackingUrl}/track/promo?code=PROMO_CODE&offer_id=${offer.id}&amount=AMOUNT&adv_order_id=ORDER_ID`;
  return [
    {
      label: 'Promo code postback',
      text: url,
      note: 'Called by the shop’s server when an order used a code. No click is needed.',
    },
    ...tags('Promo code', url),
  ];
}
