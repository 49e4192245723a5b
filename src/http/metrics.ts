import { monitorEventLoopDelay } from 'node:perf_hooks'

import type { FastifyInstance } from 'fastify'
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

export interface Metrics {
  /** Rooms put their own metrics here, with names that begin with `vedette_`. */
  registry: Registry
  routes: (app: FastifyInstance) => void
}

/** How often the event loop is looked at: 1 % of a core at 1 ms, nothing to speak of at 10 ms. */
const RESOLUTION_MS = 10

/** Node records the time between two looks, planned wait included (prom-client's own gauges show it so). */
const late = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1e3)

const watchEventLoop = (registry: Registry): void => {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  histogram.enable()
  const gauge = new Gauge<'quantile'>({
    name: 'vedette_event_loop_delay_seconds',
    help: 'How much later than planned the event loop came round, since the last scrape',
    labelNames: ['quantile'],
    registers: [],
    collect() {
      const empty = histogram.count === 0
      for (const quantile of [50, 99, 100])
        this.set({ quantile: String(quantile / 100) }, empty ? 0 : late(histogram.percentile(quantile)))
      histogram.reset()
    },
  })
  registry.registerMetric(gauge)
}

export const createMetrics = (): Metrics => {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  watchEventLoop(registry)
  const duration = new Histogram({
    name: 'vedette_http_request_duration_seconds',
    help: 'From the request line to the end of the answer',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers: [registry],
  })
  const inFlight = new Gauge({
    name: 'vedette_http_requests_in_flight',
    help: 'Requests whose answer has not ended',
    registers: [registry],
  })
  return {
    registry,
    routes: (app) => {
      app.addHook('onRequest', async (_request, reply) => {
        inFlight.inc()
        // 'close' comes once, whether the answer ended or the client went away.
        reply.raw.once('close', () => inFlight.dec())
      })
      app.addHook('onResponse', async (request, reply) => {
        // The pattern, not the path: paths are for strangers to make up.
        const route = request.is404 ? 'none' : (request.routeOptions.url ?? 'none')
        duration.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1000)
      })
      app.get('/metrics', { config: { quiet: true } }, async (_request, reply) =>
        reply.type(registry.contentType).send(await registry.metrics()),
      )
    },
  }
}
