import { AnalyticsError } from '../analytics/index.ts'
import { reportId } from './build/index.ts'
import { type ReportContent, scopeOf } from './deliver/index.ts'
import type { Report, ReportBuilder } from './types.ts'

/** Whoever takes a table of a page gets what the page shows; who reviews an address and looks again sees that. */
const KEPT_MS = 60_000
const MOST_KEPT = 16
const MOST_WAITING = 50

/**
 * Reports to look at. Apart from those that are mailed: one that is looked at before its last hours are closed must not be the one that goes
 * out afterwards. Built one at a time, however many ask.
 */
export const createPreviews = (builder: ReportBuilder, now: () => number = Date.now) => {
  const kept = new Map<string, { builtAt: number; report: Promise<Report> }>()
  let queue: Promise<unknown> = Promise.resolve()
  let waiting = 0

  /** @throws {AnalyticsError} OVERLOADED where too many wait, and what the builder throws */
  return async (content: ReportContent): Promise<Report> => {
    const scope = scopeOf(content)
    const id = reportId(scope)
    const known = kept.get(id)
    if (known && now() - known.builtAt < KEPT_MS) return known.report
    if (waiting >= MOST_WAITING)
      throw new AnalyticsError('OVERLOADED', `${waiting} reports are waiting to be built; ask again in a minute`)
    waiting++
    const entry = { builtAt: Infinity, report: queue.then(() => builder.build(scope)) }
    queue = entry.report
      .then(
        () => (entry.builtAt = now()),
        () => kept.delete(id),
      )
      .finally(() => waiting--)
    kept.delete(id)
    kept.set(id, entry)
    if (kept.size > MOST_KEPT) kept.delete(kept.keys().next().value!)
    return entry.report
  }
}

export type Preview = ReturnType<typeof createPreviews>
