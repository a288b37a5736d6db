/** Small pieces that many pages share: badges, copy boxes, page heads, tabs. */
import { useState, type ReactNode } from 'react';
import { Link } from 'wouter';
import { useNotices } from './notices.tsx';

const TONES: Readonly<Record<string, string>> = {
  accepted: 'good',
  active: 'good',
  approved: 'good',
  pending: 'wait',
  hold: 'wait',
  testing: 'wait',
  rejected: 'bad',
  disabled: 'bad',
  inactive: 'off',
};

/** A status or verdict; never by colour alone. */
export function Badge({ value, tone }: { value: string; tone?: string | undefined }) {
  return <span className={`badge ${tone ?? TONES[value] ?? 'off'}`}>{value}</span>;
}

/** Over plain http browsers have a clipboard for localhost alone: there a selection is copied, as by hand. */
async function copy(text: string): Promise<void> {
  if (window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = document.createElement('textarea');
  area.value = text;
  // Beside the button, so that it is within an open dialog, which holds the focus.
  (document.activeElement?.parentElement ?? document.body).append(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  if (!copied) throw new Error('the browser does not copy over plain http: select the text');
}

export function CopyButton({ text, label = 'Copy' }: { text: string; label?: string }) {
  const [copied, setCopied] = useState(false);
  const notices = useNotices();
  return (
    <button
      type="button"
      className="button small"
      onClick={() =>
        void copy(text).then(() => {
          setCopied(true);
          setTimeout(() => setCopied(false), 2_000);
        }, notices.fail)
      }
    >
      {copied ? 'Copied' : label}
    </button>
  );
}

export function CopyBox({ label, text, note }: { label: string; text: string; note?: ReactNode }) {
  return (
    <section className="copy-box">
      <header>
        <h3>{label}</h3>
        <CopyButton text={text} label={`Copy ${label}`} />
      </header>
      {/* A scrolling region must be reachable by keyboard. */}
      <pre tabIndex={0} aria-label={label}>
        {text}
      </pre>
      {note !== undefined && <p className="hint">{note}</p>}
    </section>
  );
}

export function PageHead(props: { title: string; children?: ReactNode; back?: [string, string] }) {
  return (
    <header className="page-head">
      <div>
        {props.back !== undefined && (
          <Link href={props.back[0]} className="back">
            ← {props.back[1]}
          </Link>
        )}
        <h1>{props.title}</h1>
      </div>
      {props.children !== undefined && <div className="actions">{props.children}</div>}
    </header>
  );
}

export interface Tab {
  readonly href: string;
  readonly label: string;
}

export function Tabs({
  tabs,
  current,
  label,
}: {
  tabs: readonly Tab[];
  current: string;
  label: string;
}) {
  return (
    <nav className="tabs" aria-label={label}>
      {tabs.map((tab) => (
        <Link
          key={tab.href}
          href={tab.href}
          aria-current={tab.href === current ? 'page' : undefined}
        >
          {tab.label}
        </Link>
      ))}
    </nav>
  );
}
