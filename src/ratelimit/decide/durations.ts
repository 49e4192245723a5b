import type { Metric, Registry } from 'prom-client'

/** Seconds; what is longer counts in +Inf alone. */
const BOUNDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1]

/**
 * A histogram for the hot path: prom-client's was over one percent of a decision's profile, this one no longer shows there. What
 * Prometheus reads is put together at the scrape.
 */
export const createDurations = (registry: Registry, { name, help }: { name: string; help: string }) => {
  const counts = new Float64Array(BOUNDS.length + 1)
  let sum = 0
  const metric = {
    name,
    get: async () => {
      let total = 0
      const buckets = [...BOUNDS, '+Inf'].map((le, index) => {
        total += counts[index]!
        return { metricName: `${name}_bucket`, labels: { le }, value: total }
      })
      const rest = [
        { metricName: `${name}_sum`, labels: {}, value: sum },
        { metricName: `${name}_count`, labels: {}, value: total },
      ]
      return { name, help, type: 'histogram', aggregator: 'sum', values: [...buckets, ...rest] }
    },
    reset: () => {
      counts.fill(0)
      sum = 0
    },
  }
  registry.registerMetric(metric as unknown as Metric)
  return {
    observe: (seconds: number): void => {
      let bucket = 0
      while (bucket < BOUNDS.length && seconds > BOUNDS[bucket]!) bucket++
      counts[bucket]!++
      sum += seconds
    },
  }
}
