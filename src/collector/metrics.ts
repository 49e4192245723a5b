import { Counter, Gauge, type Registry } from 'prom-client'

export interface CollectorMetrics {
  received: Counter
  accepted: Counter
  rejected: Counter<'reason'>
  /** Whole requests, by what became of them. */
  requests: Counter<'outcome'>
  receivedBytes: Counter
}

export const createCollectorMetrics = (registry: Registry, inFlightBytes: () => number): CollectorMetrics => {
  const registers = [registry]
  registry.registerMetric(
    new Gauge({
      name: 'vedette_collector_bytes_in_flight',
      help: 'Unpacked bytes of bodies that are being worked on',
      registers: [],
      collect() {
        this.set(inFlightBytes())
      },
    }),
  )
  return {
    received: new Counter({
      name: 'vedette_rows_received_total',
      help: 'Rows read from bodies, taken or not',
      registers,
    }),
    accepted: new Counter({
      name: 'vedette_rows_accepted_total',
      help: 'Rows taken: on disk and acknowledged',
      registers,
    }),
    rejected: new Counter({
      name: 'vedette_rows_rejected_total',
      help: 'Rows refused, by the field that was wrong',
      labelNames: ['reason'],
      registers,
    }),
    requests: new Counter({
      name: 'vedette_collector_requests_total',
      help: 'Requests to the collector by outcome: accepted, replayed, refused, limited, full',
      labelNames: ['outcome'],
      registers,
    }),
    receivedBytes: new Counter({
      name: 'vedette_collector_received_bytes_total',
      help: 'Unpacked bytes of bodies read',
      registers,
    }),
  }
}
