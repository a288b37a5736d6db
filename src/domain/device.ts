/** Device, operating system and browser of a User-Agent, remembered for the most recent ones. */
import bowser from 'bowser';
import { remembering } from './remembering.ts';

export interface Device {
  /** desktop, mobile, tablet, tv, bot, or '' when unknown. */
  readonly device: string;
  readonly os: string;
  readonly browser: string;
}

const UNKNOWN: Device = { device: '', os: '', browser: '' };
/** User agents remembered; real traffic has a few thousand, and an attacker's random ones only cost the parse. */
const REMEMBERED_MAX = 10_000;
const BOT =
  /bot\b|crawl|spider|slurp|headless|curl\/|wget\/|python-requests|okhttp|java\/|go-http-client/i;

function parse(userAgent: string): Device {
  if (userAgent === '') return UNKNOWN;
  const parsed = bowser.parse(userAgent);
  const device = BOT.test(userAgent) ? 'bot' : (parsed.platform.type ?? '');
  return { device, os: parsed.os.name ?? '', browser: parsed.browser.name ?? '' };
}

export function createDeviceReader(): (userAgent: string) => Device {
  return remembering(REMEMBERED_MAX, parse);
}
