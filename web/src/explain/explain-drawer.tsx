/** Why?, beside the report it was asked in, and as a page of its own that can be shared. */
import { useQuery } from '@tanstack/react-query';
import { Link } from 'wouter';
import { get } from '../api/client.ts';
import { useZone } from '../period.ts';
import { textOf } from '../reports/cell.tsx';
import { PageHead } from '../ui/bits.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { Await, Empty } from '../ui/states.tsx';
import { ExplainedCallView, ExplainedClickView } from './explain-view.tsx';
import type { Explanation } from './types.ts';

function useExplanation(key: string, id: string) {
  return useQuery({
    queryKey: ['explain', key, id],
    queryFn: ({ signal }) => get<Explanation>(`/explain?${key}=${encodeURIComponent(id)}`, signal),
  });
}

function ExplanationView({ name, id, zone }: { name: string; id: string; zone: string }) {
  const query = useExplanation(name, id);
  return (
    <Await query={query} what="the explanation">
      {({ calls, clicks }) => (
        <>
          {clicks.map((click) => (
            <ExplainedClickView key={textOf(click['hit_id'])} click={click} zone={zone} />
          ))}
          {calls.map((call) => (
            <ExplainedCallView key={call.hit_id} call={call} zone={zone} />
          ))}
          {name === 'click_id' && calls.length === 0 && (
            <Empty title="No conversion call has come for this click yet" />
          )}
        </>
      )}
    </Await>
  );
}

export function ExplainDrawer({
  hitId,
  zone,
  onClose,
}: {
  hitId: string;
  zone: string;
  onClose: () => void;
}) {
  return (
    <Dialog title="Why?" form="drawer" onClose={onClose}>
      <p>
        <Link href={`/why/hit_id/${hitId}`}>Open as a page</Link>
      </p>
      <ExplanationView name="hit_id" id={hitId} zone={zone} />
    </Dialog>
  );
}

export function ExplainPage({ name, id }: { name: string; id: string }) {
  const zone = useZone();
  return (
    <>
      <PageHead title="Why?" />
      <ExplanationView name={name} id={id} zone={zone} />
    </>
  );
}
