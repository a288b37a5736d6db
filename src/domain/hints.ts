/**
 * Hints: what a wrong value looks like having gone wrong, in plain words, with what to change.
 * The shapes come from what integrations get wrong in practice (macros left in place, ids cut, doubled or swapped).
 */
import type { Parameters } from './parameters.ts';
import type { VerdictSlug } from './verdicts.ts';

const MACRO_SHAPES = [
  /^\{+[^{}]*\}+$/,
  /^%7b.*%7d$/i,
  /^\[[^[\]]*\]$/,
  /^%%.*%%$/,
  /^\$\{.*\}$/,
  /^#.*#$/,
  /^<.*>$/,
];
const NOTHING = new Set(['undefined', 'null', 'none', 'nan', 'false', '0', '-', 'n/a']);
const HEX32 = /^[0-9a-f]{32}$/;
/** Fields that cut a click id hold at least half of it; shorter ones are made for ids of another kind. */
const CUT_LENGTH_MIN = 16;
/** A MongoDB ObjectId, which many trackers have as their click id. */
const OBJECT_ID_LENGTH = 24;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

function looksLikeMacro(value: string): boolean {
  return MACRO_SHAPES.some((shape) => shape.test(value.trim()));
}

/** A parameter's name without what is done to it on the way: capitals, `&amp;`, brackets, dashes. */
function plainName(name: string): string {
  return name.toLowerCase().replaceAll(/^amp;|\[.*\]$|[_-]/g, '');
}

/** A hint for a call without click_id: it may be there under another name. */
export function hintOfMissingClickId(parameters: Parameters): string {
  for (const [name, value] of parameters) {
    if (plainName(name) === 'clickid' && name !== 'click_id' && value !== '')
      return `The call has ${name.slice(0, 60)}: the parameter is called click_id.`;
  }
  return 'click_id is empty or missing: put the macro that your system fills with the click id into the postback URL.';
}

/**
 * Whether the text can be the beginning of a click id. Sixteen digits and no letter among them are so rare in one (1 in
 * 1,800) that they are a number of another system; one in letters of both sizes was never ours.
 */
function looksCut(text: string): boolean {
  const { length } = text;
  if (length < CUT_LENGTH_MIN || length >= 32 || length === OBJECT_ID_LENGTH) return false;
  return /^(?:[0-9a-f]+|[0-9A-F]+)$/.test(text) && !/^[0-9]+$/.test(text);
}

/** A hint for a click id that was not minted here; '' when nothing is recognised. */
export function hintOfClickId(value: string, isGenuine: (id: string) => boolean): string {
  if (looksLikeMacro(value)) {
    return `The macro ${value.slice(0, 60)} was not replaced: the system that sends this call does not know it. Use the name under which that system stores our click id.`;
  }
  if (/^click_?id$/i.test(value)) {
    return `click_id=${value}: the name was sent in place of the value. Put your system's variable there.`;
  }
  if (NOTHING.has(value.toLowerCase())) {
    return `click_id=${value}: the sending script had no click id at hand. Store it when the visitor lands, and send what was stored.`;
  }
  const trimmed = value
    .trim()
    .replace(/^['"]+|['"]+$/g, '')
    .trim();
  if (trimmed !== value && isGenuine(trimmed)) {
    return 'The click id is right but has a space or quote around it: send it bare.';
  }
  const lower = trimmed.toLowerCase();
  if (lower !== trimmed && isGenuine(lower)) {
    return 'The click id was turned to capitals on its way: send it exactly as received.';
  }
  if (lower.length > 32 && isGenuine(lower.slice(0, 32))) {
    return 'The click id has something appended or is sent twice: send it once, 32 characters.';
  }
  if (looksCut(trimmed)) {
    return `The click id is cut: ${trimmed.length} of 32 characters arrived. Widen the field that stores it.`;
  }
  if (UUID.test(value))
    return 'This looks like a session or transaction id, not a click id: ours has 32 characters without dashes.';
  if (!HEX32.test(value)) {
    return "This looks like an id of another system, for example the affiliate's own click id (aff_click_id): send our {click_id}.";
  }
  return '';
}

/** A hint for a click cookie that does not hold what was put in it: no sender filled a macro in there. */
export function hintOfCookie(value: string): string {
  const what = looksCut(value)
    ? `The cookie is cut: ${value.length} of 32 characters arrived.`
    : 'The cookie was overwritten, or another tracker on this host set it.';
  return `${what} Only a tracking link may set slc_ cookies: look for the script or proxy that writes this one, then open the link again.`;
}

/** A hint for a value that may be any text; '' when nothing is recognised. */
export function hintOfText(name: string, value: string): string {
  if (looksLikeMacro(value)) {
    return `The macro ${value.slice(0, 60)} in ${name} was not replaced by the sending system.`;
  }
  if (value.toLowerCase() === name.toLowerCase()) {
    return `${name}=${value}: the name was sent in place of the value. Put your system's variable there.`;
  }
  if (NOTHING.has(value.toLowerCase()))
    return `${name}=${value}: the sending script had no value. Leave the parameter out then.`;
  if (/^\s|\s$/.test(value)) return `${name} has a space around it.`;
  return '';
}

/** A hint for a value that must be an id of ours; '' when nothing is recognised. */
export function hintOfId(name: string, value: string): string {
  const hint = hintOfText(name, value);
  if (hint !== '' || /^[0-9]+$/.test(value)) return hint;
  return `${name}=${value.slice(0, 40)}: send the number alone.`;
}

/** A hint for a value that must be an amount; '' when nothing is recognised. */
export function hintOfAmount(name: string, value: string): string {
  const hint = hintOfText(name, value);
  if (hint !== '') return hint;
  if (/[$€£¥]|[a-z]{3}/i.test(value) && /[0-9]/.test(value)) {
    return `${name}=${value.slice(0, 40)}: send the bare number, and the currency in the parameter currency.`;
  }
  if (/^[0-9]{1,3}([.,][0-9]{3})*,[0-9]+$/.test(value) || /^[0-9]+,[0-9]+$/.test(value)) {
    return `${name}=${value.slice(0, 40)}: write a point before the decimals and nothing between thousands, like 1234.56.`;
  }
  if (/^[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?$/.test(value)) {
    return `${name}=${value.slice(0, 40)}: leave out the thousands separators, like 1234.56.`;
  }
  return '';
}

/** What other trackers call the parameters of a tracking link. */
const LINK_NAMES = {
  o: ['o', 'offer', 'offerid', 'oid'],
  a: ['a', 'aff', 'affid', 'affiliate', 'affiliateid', 'aid'],
} as const;

/** The name under which a link has a parameter that it lacks under its own; undefined: it has it, or nowhere. */
function misnamed(parameters: Parameters, own: keyof typeof LINK_NAMES): string | undefined {
  if ((parameters.get(own) ?? '') !== '') return undefined;
  const names: readonly string[] = LINK_NAMES[own];
  for (const [name, value] of parameters)
    if (name !== own && value !== '' && names.includes(plainName(name))) return name.slice(0, 60);
  return undefined;
}

/** A hint for a click that its link made invalid; '' when nothing is recognised. */
export function hintOfClick(verdict: VerdictSlug, parameters: Parameters): string {
  if (verdict !== 'offer_not_found' && verdict !== 'affiliate_not_found') return '';
  const own = verdict === 'offer_not_found' ? 'o' : 'a';
  const value = parameters.get(own) ?? '';
  if (value !== '') return hintOfId(own, value);
  const wrong = (['o', 'a'] as const).flatMap((name) => {
    const sent = misnamed(parameters, name);
    return sent === undefined ? [] : [{ name, sent }];
  });
  if (wrong.length === 0)
    return `${own} is empty or missing: a tracking link is /click?o=OFFER&a=AFFILIATE.`;
  const sent = wrong.map((one) => one.sent).join(' and ');
  const escaped = sent.includes('amp;') ? ' Outside of HTML write & in place of &amp;.' : '';
  const names = wrong.map(({ name }) => name).join(' and ');
  const called = wrong.length > 1 ? 'parameters are' : 'parameter is';
  return `The link has ${sent}: the ${called} called ${names}.${escaped}`;
}
