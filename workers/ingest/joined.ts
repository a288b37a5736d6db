/**
 * Joins questions to ClickHouse: those that are asked while one is being answered go together in the next. A statement
 * costs the engine far more than a row of its answer, and a worker has many chunks in work at once.
 */

export type Ask<Question, Answer> = (question: Question) => Promise<Answer>;

interface Round<Question, Answer> {
  readonly questions: Question[];
  readonly answers: Promise<readonly Answer[]>;
}

/**
 * `answerAll` gives one answer a question, in their order. Every question is asked after it was put: an answer is never
 * older than its question. When it fails, all that were asked with it fail.
 */
export function createJoined<Question, Answer>(
  answerAll: (questions: readonly Question[]) => Promise<readonly Answer[]>,
): Ask<Question, Answer> {
  let running: Promise<unknown> = Promise.resolve();
  let next: Round<Question, Answer> | undefined;

  function openRound(): Round<Question, Answer> {
    const questions: Question[] = [];
    const answers = running.then(() => {
      next = undefined;
      return answerAll(questions);
    });
    running = answers.catch(() => undefined);
    return { questions, answers };
  }

  return async (question) => {
    next ??= openRound();
    const { questions, answers } = next;
    const index = questions.push(question) - 1;
    const all = await answers;
    const answer = all[index];
    if (answer === undefined) throw new Error('a question was not answered');
    return answer;
  };
}
