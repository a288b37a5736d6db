/** Believable visitors: addresses of real providers' ranges, and current browsers. */
export type Visitor = Readonly<Record<string, string>>;

const BROWSERS = [
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1',
  'Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36',
  'Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0',
  'Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
  'Googlebot/2.1 (+http://www.google.com/bot.html)',
] as const;
const NETWORKS = [
  '84.128',
  '91.64',
  '178.203',
  '81.2',
  '92.184',
  '73.162',
  '201.17',
  '126.74',
  '49.36',
  '5.102',
] as const;

export function visitorHeaders(random: () => number): Visitor {
  const part = (): number => 1 + Math.floor(random() * 254);
  const network = NETWORKS[Math.floor(random() * NETWORKS.length)] ?? NETWORKS[0];
  return {
    'x-forwarded-for': `${network}.${part()}.${part()}`,
    'user-agent': BROWSERS[Math.floor(random() * BROWSERS.length)] ?? BROWSERS[0],
    referer: 'https://blog.example/best-boots',
  };
}
