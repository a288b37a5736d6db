/** The API process: Fastify with who-are-you, problem documents and the routes. Listens on the API port. */
import cookie from '@fastify/cookie';
import rateLimit from '@fastify/rate-limit';
import swagger from '@fastify/swagger';
import Fastify, { type FastifyInstance } from 'fastify';
import { AppError, messageOf } from '../domain/app-error.ts';
import { CatalogueFaults } from '../catalogue/store.ts';
import { registerAuthentication } from './authenticate.ts';
import type { ServerContext } from './context.ts';
import { Problem } from './problem.ts';
import { registerCatalogueRoutes } from './routes/catalogue.ts';
import { registerConsole } from './routes/console.ts';
import { registerExplainRoutes } from './routes/explain.ts';
import { registerKeyRoutes } from './routes/keys.ts';
import { registerReportRoutes } from './routes/reports.ts';
import { registerRequestableOfferRoutes } from './routes/requestable-offers.ts';
import { registerSessionRoutes } from './routes/session.ts';
import { registerStatusRoutes } from './routes/status.ts';
import { registerTailRoutes } from './routes/tail.ts';
import { registerTotalRoutes } from './routes/totals.ts';
import { registerUserRoutes } from './routes/users.ts';

const BODY_BYTES_MAX = 4 * 1024 * 1024;

function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof CatalogueFaults)
    return new Problem(
      422,
      'Unprocessable Content',
      'the catalogue would not be valid',
      error.faults,
    );
  if (error instanceof AppError) return new Problem(503, 'Service Unavailable', error.message);
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500;
  if (status === 429) return new Problem(429, 'Too Many Requests', messageOf(error));
  return status < 500
    ? new Problem(status, 'Bad Request', messageOf(error))
    : new Problem(500, 'Internal Server Error', 'this is a defect of ours; the log has it');
}

export async function createApiServer(context: ServerContext): Promise<FastifyInstance> {
  const app = Fastify({
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    forceCloseConnections: true,
    trustProxy: context.trustedProxies.length === 0 ? false : [...context.trustedProxies],
  });
  app.setErrorHandler((error, request, reply) => {
    const problem = toProblem(error);
    if (problem.status >= 500)
      context.logger.error(
        { path: request.url.split('?', 1)[0], error: messageOf(error) },
        'a request failed',
      );
    return reply.status(problem.status).type('application/problem+json').send({
      type: 'about:blank',
      title: problem.title,
      status: problem.status,
      detail: problem.message,
      errors: problem.errors,
    });
  });
  const sendConsole = await registerConsole(app, context);
  app.setNotFoundHandler(
    (request, reply) =>
      sendConsole(request, reply) ??
      reply.status(404).type('application/problem+json').send({
        type: 'about:blank',
        title: 'Not Found',
        status: 404,
        detail: 'no such path',
        errors: [],
      }),
  );
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Sluice',
        version: '1',
        description: 'Reports, explain, catalogue. Key in Authorization: Bearer.',
      },
    },
  });
  await app.register(rateLimit, { global: false });
  await app.register(cookie);
  registerAuthentication(app, context);
  app.get('/healthz', async () => ({ status: 'ok' }));
  registerReportRoutes(app, context);
  registerExplainRoutes(app, context);
  registerTailRoutes(app, context);
  registerKeyRoutes(app, context);
  registerSessionRoutes(app, context);
  registerUserRoutes(app, context);
  registerTotalRoutes(app, context);
  registerStatusRoutes(app, context);
  registerRequestableOfferRoutes(app, context);
  registerCatalogueRoutes(app, context);
  app.get('/api/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  await app.ready();
  return app;
}
