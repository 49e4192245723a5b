import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

export interface SpoolMetrics {
  storedRows: Counter
  insertFailures: Counter<'kind'>
  quarantinedRows: Counter
  damagedBytes: Counter
  batchRows: Histogram
  insertSeconds: Histogram
  commitSeconds: Histogram
}

/** Gauges read the spool itself when they are asked, so they cannot drift from it. */
export const createSpoolMetrics = (
  registry: Registry,
  state: () => {
    bytes: number
    rows: number
    oldestAgeSeconds: number
    segments: number
    receipts: number
    receiptsEvicted: number
  },
): SpoolMetrics => {
  const gauge = (name: string, help: string, read: () => number): void => {
    registry.registerMetric(
      new Gauge({
        name,
        help,
        registers: [],
        collect() {
          this.set(read())
        },
      }),
    )
  }
  gauge('vedette_spool_bytes', 'Bytes on disk that wait for ClickHouse, quarantine included', () => state().bytes)
  gauge('vedette_spool_rows', 'Rows on disk that wait for ClickHouse', () => state().rows)
  gauge('vedette_spool_segments', 'Sealed segments that wait for ClickHouse', () => state().segments)
  gauge(
    'vedette_spool_oldest_row_age_seconds',
    'Age of the oldest row that waits for ClickHouse; 0: none waits',
    () => state().oldestAgeSeconds,
  )
  gauge('vedette_idempotency_keys', 'Idempotency keys remembered', () => state().receipts)
  gauge(
    'vedette_idempotency_keys_evicted',
    'Idempotency keys forgotten before their 24 h for want of room',
    () => state().receiptsEvicted,
  )
  const registers = [registry]
  return {
    storedRows: new Counter({ name: 'vedette_stored_rows_total', help: 'Rows that ClickHouse has taken', registers }),
    insertFailures: new Counter({
      name: 'vedette_insert_failures_total',
      help: 'Inserts that failed, by kind',
      labelNames: ['kind'],
      registers,
    }),
    quarantinedRows: new Counter({
      name: 'vedette_quarantined_rows_total',
      help: 'Rows in segments that ClickHouse refused while it took others',
      registers,
    }),
    damagedBytes: new Counter({
      name: 'vedette_spool_damaged_bytes_total',
      help: 'Bytes that the disk gave back otherwise than they were written; kept in quarantine',
      registers,
    }),
    batchRows: new Histogram({
      name: 'vedette_insert_rows',
      help: 'Rows an insert',
      buckets: [1, 10, 100, 1000, 5000, 10_000, 20_000, 50_000, 200_000],
      registers,
    }),
    insertSeconds: new Histogram({
      name: 'vedette_insert_seconds',
      help: 'Duration of an insert that succeeded',
      buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers,
    }),
    commitSeconds: new Histogram({
      name: 'vedette_spool_commit_seconds',
      help: 'From handing a record to the spool until it is on disk',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
      registers,
    }),
  }
}
