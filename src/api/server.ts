/** The API process: Fastify with who-are-you, problem documents, the routes and the document that describes them. */
import cookie from '@fastify/cookie';
import swagger from '@fastify/swagger';
import Fastify, { type FastifyInstance } from 'fastify';
import { registerAuthentication } from './authentication.ts';
import type { ApiContext } from './context.ts';
import { OPENAPI } from './documents/document.ts';
import { createApiMetrics } from './metrics.ts';
import { createErrorHandler, sendNotFound } from './problem.ts';
import { registerAffiliatePostbackResendRoute } from './routes/affiliate-postback-resend.ts';
import { registerBatchUploadRoute } from './routes/batch-upload.ts';
import { registerBatchRoutes } from './routes/batches.ts';
import { registerCatalogueRoutes } from './routes/catalogue.ts';
import { registerConsole } from './routes/console.ts';
import { registerExplainRoutes } from './routes/explain.ts';
import { registerKeyRoutes } from './routes/keys.ts';
import { registerPromoCodeBulkRoute } from './routes/promo-codes-bulk.ts';
import { registerReplayRoutes } from './routes/replays.ts';
import { registerReportRoutes } from './routes/reports.ts';
import { registerRequestableOfferRoutes } from './routes/requestable-offers.ts';
import { registerSessionRoutes } from './routes/session.ts';
import { registerStatusRoutes } from './routes/status.ts';
import { registerTailRoutes } from './routes/tail.ts';
import { registerTotalRoutes } from './routes/totals.ts';
import { registerTransactionRoutes } from './routes/transactions.ts';
import { registerUserRoutes } from './routes/users.ts';
import { createTailHub } from './tail-hub.ts';

const BODY_BYTES_MAX = 4 * 1024 * 1024;

/** JSON alone. Clients name that type with every request: one without a body is not a broken one. */
function acceptJson(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    const text = body.toString();
    if (text === '') done(null, undefined);
    // The framework's parser calls `done`, or returns a promise of the same.
    else void parse(request, text, done);
  });
}

export async function createApiServer(context: ApiContext): Promise<FastifyInstance> {
  const app = Fastify({
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    forceCloseConnections: true,
    trustProxy: context.trustedProxies.length === 0 ? false : [...context.trustedProxies],
    routerOptions: { maxParamLength: 500 },
  });
  acceptJson(app);
  // Route schemas describe; zod and the report definitions, from which they are made, validate.
  app.setValidatorCompiler(() => () => true);
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
  app.setErrorHandler(createErrorHandler(context.logger));
  const sendConsole = await registerConsole(app, context);
  app.setNotFoundHandler(
    (request, reply) => sendConsole(request, reply) ?? sendNotFound(request, reply),
  );
  const tail = createTailHub({
    createSubscriber: context.createSubscriber,
    channel: context.keys.verdictTail,
    logger: context.logger,
  });
  app.addHook('onClose', async () => tail.close());
  const metrics = createApiMetrics(context, () => tail.listeners);
  app.addHook('onResponse', async (request, reply) => metrics.record(request, reply));
  await app.register(swagger, { openapi: OPENAPI });
  await app.register(cookie);
  registerAuthentication(app, context);
  app.get('/healthz', { schema: { hide: true } }, async () => ({ status: 'ok' }));
  app.get('/metrics', { schema: { hide: true } }, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.text()),
  );
  registerReportRoutes(app, context);
  registerTransactionRoutes(app, context);
  registerExplainRoutes(app, context);
  registerTailRoutes(app, context, tail);
  registerBatchRoutes(app, context);
  registerReplayRoutes(app, context);
  registerKeyRoutes(app, context);
  registerCatalogueRoutes(app, context);
  registerPromoCodeBulkRoute(app, context);
  registerAffiliatePostbackResendRoute(app, context);
  registerBatchUploadRoute(app, context);
  registerSessionRoutes(app, context);
  registerUserRoutes(app, context);
  registerTotalRoutes(app, context);
  registerStatusRoutes(app, context);
  registerRequestableOfferRoutes(app, context);
  app.get('/api/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  await app.ready();
  return app;
}
