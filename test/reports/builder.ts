import { Registry } from 'prom-client'
import { afterAll, beforeAll } from 'vitest'

import { createAnalytics } from '../../src/analytics/index.ts'
import { addressesTold, createDetection, type Detection } from '../../src/detection/index.ts'
import { createBlockList } from '../../src/ratelimit/index.ts'
import { createRedis, type Redis } from '../../src/redis/index.ts'
import { createReportBuilder } from '../../src/reports/build/index.ts'
import type { ReportBuilder } from '../../src/reports/types.ts'
import { silent, type TestDatabase } from '../support/clickhouse.ts'

export interface TestBuilder {
  builder: ReportBuilder
  detection: Detection
  blockList: ReturnType<typeof createBlockList>
  redis: Redis
}

/** A report builder with all that it asks, on the test file's own database. Call it at the top of the file; ready from the next `beforeAll` on. */
export const testBuilder = (database: TestDatabase): (() => TestBuilder) => {
  let ready: TestBuilder | undefined
  beforeAll(async () => {
    const { clickhouse } = database
    const redis = createRedis([], { log: silent })
    await redis.start()
    const stores = { clickhouse, redis, log: silent, dataDir: undefined, trustedProxies: [] }
    const blockList = createBlockList(stores)
    await blockList.start()
    const detection = await createDetection({
      ...stores,
      blockList,
      registry: new Registry(),
      detectorsDir: undefined,
      crawlerRangesDir: undefined,
      crawlerDns: false,
    })
    await detection.start()
    const { suspicious, queries: detectorQueries } = detection
    const analytics = createAnalytics({ clickhouse, addressesTold })
    const builder = createReportBuilder({ clickhouse, analytics, suspicious, detectorQueries })
    ready = { builder, detection, blockList, redis }
  })
  afterAll(async () => {
    await ready?.detection.stop()
    await ready?.blockList.stop()
    await ready?.redis.stop()
  })
  return () => ready!
}
