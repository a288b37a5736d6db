/**
 * The console's files, as `dist/web` holds them. Every path that is no file of it and not below `/api` gets the page,
 * which has its own router. Files are compressed at build time; those named by their content are kept for a year.
 */
import { existsSync } from 'node:fs';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { projectPath } from '../../project-root.ts';
import type { ApiContext } from '../context.ts';

/** `/api-keys` is a page of the console. */
const isApi = (request: FastifyRequest): boolean => request.url.startsWith('/api/');

const ASSETS = /[\\/]assets[\\/]/;

/** Own files only; the tracking front may be asked, for the debugger's test clicks. */
function policyOf(context: ApiContext, request: FastifyRequest): string {
  const tracking =
    context.tracking.url === null
      ? `${request.protocol}://${request.hostname}:${context.tracking.port}`
      : new URL(context.tracking.url).origin;
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "manifest-src 'self'",
    `connect-src 'self' ${tracking}`,
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; ');
}

function secure(context: ApiContext, request: FastifyRequest, reply: FastifyReply): void {
  void reply
    .header('content-security-policy', policyOf(context, request))
    .header('x-content-type-options', 'nosniff')
    .header('referrer-policy', 'same-origin');
}

/** Registers the files; answers whether a path that nothing else knows is the console's. */
export async function registerConsole(
  app: FastifyInstance,
  context: ApiContext,
  root = projectPath('dist', 'web'),
): Promise<(request: FastifyRequest, reply: FastifyReply) => FastifyReply | undefined> {
  // Run from source without a build of the console: the API alone.
  if (!existsSync(root)) return () => undefined;
  await app.register(fastifyStatic, {
    root,
    preCompressed: true,
    cacheControl: false,
    setHeaders: (reply, path) => {
      void reply.header(
        'cache-control',
        ASSETS.test(path) ? 'public, max-age=31536000, immutable' : 'no-cache',
      );
    },
  });
  app.addHook('onSend', async (request, reply, payload) => {
    if (!isApi(request)) secure(context, request, reply);
    return payload;
  });
  return (request, reply) => {
    const isPage =
      (request.method === 'GET' || request.method === 'HEAD') &&
      (request.headers.accept ?? '').includes('text/html');
    return isPage && !isApi(request) ? reply.sendFile('index.html') : undefined;
  };
}
