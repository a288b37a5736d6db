/** One line on a terminal that is written over; on anything else nothing. */
const BAR_WIDTH = 30;

export interface ProgressBar {
  set(done: number, total: number): void;
  end(): void;
}

export function createProgressBar(label: string): ProgressBar {
  const { stderr } = process;
  const show = stderr.isTTY;
  return {
    set(done, total) {
      if (!show) return;
      const part = total === 0 ? 1 : Math.min(1, done / total);
      const filled = Math.round(part * BAR_WIDTH);
      const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
      stderr.write(`\r${label} ${bar} ${String(Math.floor(part * 100)).padStart(3)} %`);
    },
    end() {
      if (show) stderr.write('\r\x1b[K');
    },
  };
}
