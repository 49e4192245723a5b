import type { MakeSection } from '../work.ts'
import { anomalyDetection } from './anomaly-detection.ts'
import { blocks } from './blocks.ts'
import { errors } from './errors.ts'
import { geography } from './geography.ts'
import { pipeline } from './pipeline.ts'
import { plain } from './plain.ts'
import { rateLimits } from './rate-limits.ts'
import { requestVolume } from './request-volume.ts'
import { suspiciousAddresses } from './suspicious-addresses.ts'

const makers: Readonly<Record<string, MakeSection>> = {
  'anomaly-detection': anomalyDetection,
  blocks,
  errors,
  geography,
  pipeline,
  'rate-limits': rateLimits,
  'request-volume': requestVolume,
  'suspicious-addresses': suspiciousAddresses,
}

/** What turns the rows of a file into words, figures and pictures. */
export const makerOf = (id: string): MakeSection => makers[id] ?? plain
