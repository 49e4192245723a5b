import type { Logger } from 'pino'
import type { Registry } from 'prom-client'

import type { ClickHouse } from '../clickhouse/index.ts'
import type { JobContext, JobResult } from '../jobs/index.ts'
import type { BlockList } from '../ratelimit/index.ts'
import type { Redis } from '../redis/index.ts'
import { createBlocks } from './blocks.ts'
import { createCrawlers } from './crawlers/index.ts'
import { readDetectors } from './files/read.ts'
import { createExempt } from './judge.ts'
import { createDetectorQueries, type DetectorQueries } from './queries.ts'
import { createDetectionRun } from './run.ts'
import { createDetectors } from './settings.ts'
import { createSuspicious, type Suspicious } from './suspicious/index.ts'

export interface DetectionDependencies {
  clickhouse: ClickHouse
  redis: Redis
  blockList: BlockList
  registry: Registry
  log: Logger
  dataDir: string | undefined
  /** CIDRs that no detector flags. */
  trustedProxies: readonly string[]
  /** An operator's own detectors. */
  detectorsDir: string | undefined
  /** An operator's own lists of crawlers. */
  crawlerRangesDir: string | undefined
  /** Whether crawlers may be told by their names. */
  crawlerDns: boolean
  /** Milliseconds since 1970, for tests. */
  now?: () => number
}

export interface Detection {
  /** Reads settings, verdicts and lists of crawlers. */
  start: () => Promise<void>
  stop: () => Promise<void>
  /** Finds what there is to be found in the hour, whose roll-ups the same run has written, and writes it under the run's id. */
  run: (context: JobContext) => Promise<JobResult>
  /** What can be asked of detectors. */
  queries: DetectorQueries
  /** Whom they flagged, and what people said of it. */
  suspicious: Suspicious
}

/**
 * Everything about anomalies: the part of the hourly job that finds them, and what is asked and said about them.
 * @throws {DetectorError} a file that does not fit, with its place
 */
export const createDetection = async (dependencies: DetectionDependencies): Promise<Detection> => {
  const { blockList, trustedProxies, log, now = Date.now } = dependencies
  const detectors = createDetectors({ ...dependencies, files: await readDetectors(dependencies.detectorsDir) })
  const crawlers = createCrawlers({ dir: dependencies.crawlerRangesDir, dns: dependencies.crawlerDns, log })
  const suspicious = createSuspicious({ ...dependencies, detectors })
  return {
    queries: createDetectorQueries({ ...dependencies, detectors, precision: suspicious.precision }),
    suspicious,
    start: async () => {
      await Promise.all([detectors.start(), crawlers.start(), suspicious.start()])
    },
    stop: async () => {
      await Promise.all([detectors.stop(), crawlers.stop(), suspicious.stop()])
    },
    run: createDetectionRun({
      ...dependencies,
      detectors: detectors.list,
      crawlers,
      exempt: createExempt({ blockList, trustedProxies }),
      block: createBlocks({ blockList, trustedProxies, log, now }),
    }),
  }
}
