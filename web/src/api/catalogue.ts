/** The catalogue as the API shows it to this user: lists kept in the query cache, and changes that can be undone. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { useMemo } from 'react';
import type {
  Advertiser as StoredAdvertiser,
  Affiliate,
  AffiliatePostback,
  Deployment,
  Goal,
  Offer,
  PromoCode,
} from '../../../src/domain/catalogue.ts';
import { call, get } from './client.ts';

export type Advertiser = Omit<StoredAdvertiser, 'token'> & { readonly has_token: boolean };

export interface Kinds {
  readonly advertisers: Advertiser;
  readonly affiliates: Affiliate;
  readonly offers: Offer;
  readonly goals: Goal;
  readonly deployments: Deployment;
  readonly 'promo-codes': PromoCode;
  readonly 'affiliate-postbacks': AffiliatePostback;
}
export type Kind = keyof Kinds;

interface Page<T> {
  readonly rows: T[];
  readonly next_cursor: string | null;
}

async function readAll<K extends Kind>(kind: K, signal: AbortSignal): Promise<Kinds[K][]> {
  const rows: Kinds[K][] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const after = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const page: Page<Kinds[K]> = await get(`/${kind}?limit=1000${after}`, signal);
    rows.push(...page.rows);
    cursor = page.next_cursor;
  }
  return rows;
}

/** Everything of a kind that this user may see. */
export function useCatalogue<K extends Kind>(kind: K) {
  return useQuery({
    queryKey: ['catalogue', kind],
    queryFn: ({ signal }) => readAll(kind, signal),
    staleTime: 15_000,
  });
}

export type NameOf = (column: string, id: number) => string;

/** Names for ids in reports: of offers, goals, affiliates and advertisers, as far as this user sees them. */
export function useNames(): NameOf {
  const offers = useCatalogue('offers').data;
  const goals = useCatalogue('goals').data;
  const affiliates = useCatalogue('affiliates').data;
  const advertisers = useCatalogue('advertisers').data;
  return useMemo(() => {
    const names = new Map<string, string>();
    for (const { id, title } of offers ?? []) names.set(`offer_id ${id}`, title);
    for (const { id, title, alias } of goals ?? [])
      names.set(`goal_id ${id}`, title === '' ? alias : title);
    for (const { id, name } of affiliates ?? []) names.set(`affiliate_id ${id}`, name);
    for (const { id, name } of advertisers ?? []) names.set(`advertiser_id ${id}`, name);
    return (column, id) => names.get(`${column} ${id}`) ?? '';
  }, [offers, goals, affiliates, advertisers]);
}

export type Change =
  | { readonly method: 'POST'; readonly kind: Kind; readonly body: object }
  | { readonly method: 'PATCH'; readonly kind: Kind; readonly id: string; readonly body: object }
  | { readonly method: 'DELETE'; readonly kind: Kind; readonly id: string };

/** Sends a change and reads the kind again; resolves with the entity as stored. */
export function useChange() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (change: Change) =>
      change.method === 'POST'
        ? call<unknown>('POST', `/${change.kind}`, change.body)
        : call<unknown>(
            change.method,
            `/${change.kind}/${change.id}`,
            change.method === 'PATCH' ? change.body : undefined,
          ),
    onSettled: () => client.invalidateQueries({ queryKey: ['catalogue'] }),
  });
}
