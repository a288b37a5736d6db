# Production image: one image, the role is the command. Not run by the project's own tests, which parse it only.
FROM node:20-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm install --no-save --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src src
COPY workers workers
COPY clickhouse clickhouse
COPY web web
RUN node_modules/.bin/tsc -p tsconfig.build.json && node_modules/.bin/vite build --config web/vite.config.ts && npm prune --omit=dev

FROM node:20-bookworm-slim
WORKDIR /app
# The launcher is not in the image: it gives the role `clickhouse` its threads. The other roles hardly use so many.
ENV NODE_ENV=production SLUICE_DATA_DIR=/data UV_THREADPOOL_SIZE=24
RUN mkdir /data && chown node:node /data
COPY --from=build --chown=node:node /app/node_modules node_modules
COPY --from=build --chown=node:node /app/dist dist
COPY --chown=node:node package.json ./
COPY --chown=node:node workers workers
COPY --chown=node:node clickhouse clickhouse
COPY --chown=node:node demo demo
USER node
VOLUME /data
ENTRYPOINT ["node", "--max-semi-space-size=32", "dist/src/cli/main.js"]
CMD ["edge"]
