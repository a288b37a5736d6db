/** The debugger: what happens now, a walk with a test click, and a URL judged without recording it. */
import { PageHead, Tabs } from '../ui/bits.tsx';
import { JudgeUrl } from './judge-url.tsx';
import { LiveTail } from './live-tail.tsx';
import { TestWalk } from './test-walk.tsx';

const TABS = [
  { href: '/debugger/live', label: 'Live' },
  { href: '/debugger/test', label: 'Test click and postback' },
  { href: '/debugger/judge', label: 'Judge a URL' },
] as const;

export function DebuggerPage({ tab = 'live' }: { tab: string | undefined }) {
  return (
    <>
      <PageHead title="Debugger" />
      <Tabs label="Debugger" tabs={TABS} current={`/debugger/${tab}`} />
      {tab === 'test' ? <TestWalk /> : tab === 'judge' ? <JudgeUrl /> : <LiveTail />}
    </>
  );
}
