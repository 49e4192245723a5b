import type { Logger } from 'pino'
import { Counter, type Registry } from 'prom-client'

import type { ClickHouse } from '../clickhouse/index.ts'
import { checkDetector, isOwnFault, shortReason } from './check.ts'
import type { FindOptions, Share } from './find.ts'
import type { Detector } from './types.ts'

/** Keeps one bad detector from taking the others with it. What fails for another reason, such as ClickHouse being away, throws as it is. */
export interface Sound {
  /** Those that compile. Of ours a test knows; an operator's own are asked for. */
  compiling: (detectors: readonly Detector[], options: FindOptions) => Promise<Detector[]>
  /**
   * What one statement gives for several detectors. One that cannot be run is run for either half of them, until those that are
   * to blame are left: these give nothing, are logged and counted.
   */
  share: Share
}

export interface SoundDependencies {
  clickhouse: ClickHouse
  registry?: Registry | undefined
  log: Logger
}

export const createSound = ({ clickhouse, registry, log }: SoundDependencies): Sound => {
  const failures = new Counter({
    name: 'vedette_detector_failures_total',
    help: 'Times that a detector could not be run, so that it found nothing; the log says why',
    labelNames: ['detector'],
    registers: registry ? [registry] : [],
  })
  const failed = ({ id, path }: Detector, reason: string): void => {
    failures.inc({ detector: id })
    log.error({ detector: id, path, reason }, 'a detector cannot be run; the others go on without it')
  }
  const share: Share = async (detectors, work) => {
    if (detectors.length === 0) return []
    try {
      return await work(detectors)
    } catch (error) {
      if (!isOwnFault(error)) throw error
      if (detectors.length === 1) {
        failed(detectors[0]!, shortReason(error))
        return []
      }
      const half = detectors.length >> 1
      return [...(await share(detectors.slice(0, half), work)), ...(await share(detectors.slice(half), work))]
    }
  }
  return {
    share,
    compiling: async (detectors, options) => {
      const sound: Detector[] = []
      for (const detector of detectors) {
        const reason = detector.own ? await checkDetector(clickhouse, detector, options) : undefined
        if (reason === undefined) sound.push(detector)
        else failed(detector, reason)
      }
      return sound
    },
  }
}
