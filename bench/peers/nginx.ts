/** nginx as people use it to log pixels: `empty_gif`, one worker, an access log in a buffer. What it answers is not stored yet. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startProcess, type Cores, type Running } from '../stage/processes.ts';
import { requireProgram } from '../stage/system-packages.ts';
import { until } from '../stage/stack.ts';

/** nginx's own `combined` format; it holds less than Sluice stores. */
function configuration(dir: string, port: number): string {
  return `daemon off;
worker_processes 1;
pid ${dir}/nginx.pid;
error_log ${dir}/nginx-error.log;
events { worker_connections 4096; multi_accept on; }
http {
  access_log ${dir}/nginx-access.log combined buffer=256k flush=1s;
  keepalive_requests 1000000000;
  tcp_nodelay on;
  client_body_temp_path ${dir}/nginx-body;
  proxy_temp_path ${dir}/nginx-proxy;
  fastcgi_temp_path ${dir}/nginx-fastcgi;
  uwsgi_temp_path ${dir}/nginx-uwsgi;
  scgi_temp_path ${dir}/nginx-scgi;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / { empty_gif; }
  }
}
`;
}

function workerOf(master: number): number | undefined {
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === master)
        return Number(name);
    } catch {
      // It has ended between two looks.
    }
  }
  return undefined;
}

/** Starts it; `workerPid` is the process that answers. */
export async function startNginx(
  dir: string,
  port: number,
  cores: Cores,
): Promise<{ running: Running; workerPid: number }> {
  const nginx = requireProgram('nginx', 'nginx-light');
  const file = join(dir, 'nginx.conf');
  writeFileSync(file, configuration(dir, port));
  const running = await startProcess([nginx, '-c', file], {
    cores,
    logFile: join(dir, 'nginx.log'),
  });
  let workerPid = 0;
  await until('nginx to start its worker', () => {
    workerPid = workerOf(running.pid) ?? 0;
    return workerPid > 0;
  });
  return { running, workerPid };
}
