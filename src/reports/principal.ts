/** Who asks for a report. */
export type Principal =
  | { readonly role: 'manager'; readonly name: string }
  | { readonly role: 'advertiser'; readonly name: string; readonly advertiserId: number }
  | { readonly role: 'affiliate'; readonly name: string; readonly affiliateId: number };
