/** Short notices after a change, some with Undo, and questions before a change that can't be undone. */
import {
  createContext,
  useCallback,
  useContext,
  useMemo,
  useRef,
  useState,
  type ReactNode,
} from 'react';
import { messageOf } from '../api/client.ts';
import { Dialog } from './dialog.tsx';

interface Notice {
  readonly id: number;
  readonly text: string;
  readonly isError: boolean;
  readonly undo: (() => Promise<unknown>) | undefined;
}

interface Question {
  readonly title: string;
  readonly text: string;
  readonly action: string;
  readonly answer: (yes: boolean) => void;
}

interface Notices {
  /** Says that something was done; with `undo`, offers to take it back. */
  readonly tell: (text: string, undo?: () => Promise<unknown>) => void;
  readonly fail: (error: unknown) => void;
  /** Resolves true when the user agrees. For what can't be undone. */
  readonly confirm: (title: string, text: string, action: string) => Promise<boolean>;
}

const SHOWN_MS = 8_000;
const NoticesContext = createContext<Notices | null>(null);

export function useNotices(): Notices {
  const notices = useContext(NoticesContext);
  if (notices === null) throw new Error('used outside of NoticesProvider');
  return notices;
}

function NoticeLine({ notice, onDone }: { notice: Notice; onDone: (next?: string) => void }) {
  const { undo } = notice;
  return (
    <div className={notice.isError ? 'notice error' : 'notice'}>
      <span>{notice.text}</span>
      {undo !== undefined && (
        <button
          type="button"
          className="button quiet"
          onClick={() =>
            void undo().then(
              () => onDone('Undone'),
              (error: unknown) => onDone(messageOf(error)),
            )
          }
        >
          Undo
        </button>
      )}
      <button type="button" className="button quiet" aria-label="Dismiss" onClick={() => onDone()}>
        ✕
      </button>
    </div>
  );
}

export function NoticesProvider({ children }: { children: ReactNode }) {
  const [notices, setNotices] = useState<readonly Notice[]>([]);
  const [question, setQuestion] = useState<Question | null>(null);
  const nextId = useRef(1);

  const add = useCallback((text: string, isError: boolean, undo?: () => Promise<unknown>) => {
    const id = nextId.current++;
    setNotices((held) => [...held.slice(-3), { id, text, isError, undo }]);
    setTimeout(() => setNotices((held) => held.filter((notice) => notice.id !== id)), SHOWN_MS);
  }, []);

  const value = useMemo<Notices>(
    () => ({
      tell: (text, undo) => add(text, false, undo),
      fail: (error) => add(messageOf(error), true),
      confirm: (title, text, action) =>
        new Promise((resolve) => setQuestion({ title, text, action, answer: resolve })),
    }),
    [add],
  );

  function answer(yes: boolean): void {
    question?.answer(yes);
    setQuestion(null);
  }

  return (
    <NoticesContext value={value}>
      {children}
      <div className="notices" role="status" aria-live="polite">
        {notices.map((notice) => (
          <NoticeLine
            key={notice.id}
            notice={notice}
            onDone={(next) => {
              setNotices((held) => held.filter(({ id }) => id !== notice.id));
              if (next !== undefined) add(next, next !== 'Undone');
            }}
          />
        ))}
      </div>
      {question !== null && (
        <Dialog title={question.title} onClose={() => answer(false)}>
          <p>{question.text}</p>
          <div className="actions">
            <button type="button" className="button" onClick={() => answer(false)}>
              Cancel
            </button>
            <button type="button" className="button danger" onClick={() => answer(true)}>
              {question.action}
            </button>
          </div>
        </Dialog>
      )}
    </NoticesContext>
  );
}
