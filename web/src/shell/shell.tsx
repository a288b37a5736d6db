/** The frame around every page: navigation by role, zone, theme, account. On a phone the navigation opens over the page. */
import { useState, type ReactNode } from 'react';
import { Link, useLocation } from 'wouter';
import { useSession, useSignOut } from '../api/session.tsx';
import { setZone, useZone, zones } from '../period.ts';
import { useNotices } from '../ui/notices.tsx';
import { navigationOf } from './navigation.ts';
import { applyTheme, readTheme, THEMES } from './theme.ts';

function Navigation({ path }: { path: string }) {
  const { user } = useSession();
  const isCurrent = (href: string): boolean =>
    href === '/' ? path === '/' : path === href || path.startsWith(`${href}/`);
  return (
    <nav className="navigation" aria-label="Main" id="navigation">
      {navigationOf(user.role).map((group) => (
        <section key={group.title}>
          <h2>{group.title}</h2>
          <ul>
            {group.items.map(([href, label]) => (
              <li key={href}>
                <Link href={href} aria-current={isCurrent(href) ? 'page' : undefined}>
                  {label}
                </Link>
              </li>
            ))}
          </ul>
        </section>
      ))}
    </nav>
  );
}

function Preferences() {
  const zone = useZone();
  const [theme, setTheme] = useState(readTheme);
  return (
    <>
      <label className="inline">
        <span>Zone</span>
        <select value={zone} onChange={(event) => setZone(event.target.value)}>
          {[...new Set([zone, ...zones()])].map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </label>
      <label className="inline">
        <span className="visually-hidden">Theme</span>
        <select
          value={theme}
          onChange={(event) => {
            const next = THEMES.find((name) => name === event.target.value) ?? 'system';
            applyTheme(next);
            setTheme(next);
          }}
        >
          <option value="system">System theme</option>
          <option value="light">Light</option>
          <option value="dark">Dark</option>
        </select>
      </label>
    </>
  );
}

export function Shell({ children }: { children: ReactNode }) {
  const { user } = useSession();
  const [path] = useLocation();
  // Open on the page where it was opened: going to another closes it.
  const [openAt, setOpenAt] = useState('');
  const open = openAt === path;
  const signOut = useSignOut();
  const notices = useNotices();
  return (
    <div className={open ? 'shell open' : 'shell'}>
      <a className="skip" href="#content">
        Skip to content
      </a>
      <header className="top">
        <button
          type="button"
          className="button quiet menu"
          aria-expanded={open}
          aria-controls="navigation"
          onClick={() => setOpenAt(open ? '' : path)}
        >
          ☰<span className="visually-hidden"> Menu</span>
        </button>
        <Link href="/" className="brand">
          <img src="/icon.svg" alt="" width="22" height="22" /> Sluice
        </Link>
        <span className="role">{user.role}</span>
        <span className="spacer" />
        <Preferences />
        <Link href="/account">{user.login}</Link>
        <button
          type="button"
          className="button quiet"
          onClick={() => void signOut().catch((error: unknown) => notices.fail(error))}
        >
          Sign out
        </button>
      </header>
      <Navigation path={path} />
      <main id="content" tabIndex={-1}>
        {children}
      </main>
    </div>
  );
}
