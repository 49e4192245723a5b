import type { Severity } from './types.ts'

/** What one finding at its threshold is worth, and what it comes to at sixteen times the threshold and more. */
const WORTH: Record<Severity, readonly [least: number, most: number]> = {
  LOW: [15, 30],
  MEDIUM: [35, 60],
  HIGH: [60, 85],
  CRITICAL: [85, 98],
}
const DOUBLINGS = 4

/** 0 to 100: how sure and how bad, by the detector's severity and by how far beyond the threshold it is. */
export const scoreOf = (severity: Severity, observed: number, threshold: number): number => {
  const [least, most] = WORTH[severity]
  const doublings = threshold > 0 ? Math.log2(Math.max(1, observed / threshold)) : DOUBLINGS
  return Math.round((least + (most - least) * Math.min(1, doublings / DOUBLINGS)) * 10) / 10
}
