/** A file system of a few MiB that a test can fill: a tmpfs, unmounted at the end. Mounting one takes root, or sudo without a password. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SmallDisk {
  readonly dir: string;
  /** Takes every block that is left. */
  fill(): void;
  /** Gives back what `fill` took. */
  free(): void;
  close(): void;
}

function asRoot(program: string, args: readonly string[]): void {
  if (process.getuid?.() === 0) execFileSync(program, args);
  else execFileSync('sudo', ['-n', program, ...args]);
}

export function openSmallDisk(mib: number): SmallDisk {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-small-disk-'));
  asRoot('mount', ['-t', 'tmpfs', '-o', `size=${mib}m,mode=777`, 'tmpfs', dir]);
  const ballast = join(dir, 'ballast');
  let mounted = true;
  const close = (): void => {
    if (!mounted) return;
    mounted = false;
    // Lazily: what is still open must not keep the mount.
    asRoot('umount', ['-l', dir]);
    rmSync(dir, { recursive: true });
  };
  process.once('exit', close);
  return {
    dir,
    fill() {
      const fd = openSync(ballast, 'a');
      const block = Buffer.alloc(4096, 1);
      try {
        for (;;) writeSync(fd, block);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      } finally {
        closeSync(fd);
      }
    },
    free: () => rmSync(ballast, { force: true }),
    close() {
      process.removeListener('exit', close);
      close();
    },
  };
}
