import type { ReviewStatus } from '../types.ts'

/** How often a detector was right, by what people said of the addresses it flagged. */
export interface Precision {
  confirmed: number
  falsePositives: number
  /** confirmed / (confirmed + falsePositives); null until one was. */
  precision: number | null
  /** Where it truly lies, in 95 of 100 cases. */
  interval: Interval | null
}

export interface Interval {
  low: number
  high: number
}

/** 95 % of a normal distribution lie within so many standard deviations. */
const Z = 1.959964

/** Wilson's interval of a share, at 95 %: it holds for few cases and for shares of 0 and 1, too. Null for no case. */
export const wilsonInterval = (successes: number, cases: number): Interval | null => {
  if (cases === 0) return null
  const share = successes / cases
  const spread = Z ** 2 / cases
  const centre = share + spread / 2
  const reach = Z * Math.sqrt((share * (1 - share)) / cases + spread / (4 * cases))
  return {
    low: Math.max(0, (centre - reach) / (1 + spread)),
    high: Math.min(1, (centre + reach) / (1 + spread)),
  }
}

export const toPrecision = (confirmed: number, falsePositives: number): Precision => {
  const reviewed = confirmed + falsePositives
  return {
    confirmed,
    falsePositives,
    precision: reviewed === 0 ? null : confirmed / reviewed,
    interval: wilsonInterval(confirmed, reviewed),
  }
}

/** A verdict speaks of each detector that had flagged the address; the last one on an address counts. */
export const precisionOf = (
  verdicts: Iterable<{ status: ReviewStatus; detectors: readonly string[] }>,
): Map<string, Precision> => {
  const counts = new Map<string, { confirmed: number; falsePositives: number }>()
  for (const { status, detectors } of verdicts) {
    if (status !== 'CONFIRMED' && status !== 'FALSE_POSITIVE') continue
    for (const detector of detectors) {
      const count = counts.get(detector) ?? { confirmed: 0, falsePositives: 0 }
      count[status === 'CONFIRMED' ? 'confirmed' : 'falsePositives']++
      counts.set(detector, count)
    }
  }
  return new Map(
    [...counts].map(([detector, { confirmed, falsePositives }]) => [detector, toPrecision(confirmed, falsePositives)]),
  )
}
