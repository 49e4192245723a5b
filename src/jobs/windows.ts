import { StoreError } from '../store/index.ts'
import type { Job, JobWindow } from './types.ts'

/** Windows of one `runNow`: a month of hours, and some. */
const MOST_WINDOWS = 800

export const lengthOf = ({ windowSeconds }: Job): number => windowSeconds * 1000

/** Beginning of the window that holds this moment, in ms. */
export const startOf = (job: Job, at: number): number => Math.floor(at / lengthOf(job)) * lengthOf(job)

export const windowAt = (job: Job, from: number): JobWindow => ({
  from: new Date(from),
  to: new Date(from + lengthOf(job)),
})

/** When the window that begins at `from` is run: what was sent last is then stored. */
export const dueAt = (job: Job, from: number): number => from + lengthOf(job) + job.settleSeconds * 1000

/** Beginning of the last window that is due. */
export const lastDue = (job: Job, now: number): number => startOf(job, now - job.settleSeconds * 1000) - lengthOf(job)

const invalid = (field: string, message: string): StoreError =>
  new StoreError('INVALID', `${field}: ${message}`, { field })

/**
 * The windows that somebody asks for, oldest first: those that lie in the range, its ends moved outwards to the windows' own; of `from`
 * alone the one that holds it; without a range the last one that is over.
 * @throws {StoreError} INVALID
 */
export const windowsAsked = (
  job: Job,
  { from, to }: { from?: Date | undefined; to?: Date | undefined },
  now: number,
): JobWindow[] => {
  const length = lengthOf(job)
  if (!from && !to) return [windowAt(job, startOf(job, now) - length)]
  if (!from) throw invalid('windowFrom', 'missing; windowTo alone does not say where to begin')
  const first = startOf(job, from.getTime())
  if (first > now) throw invalid('windowFrom', `${from.toISOString()} is yet to come; give a time that is over`)
  const end = to ? startOf(job, to.getTime() + length - 1) : first + length
  if (end <= first)
    throw invalid('windowTo', `${to!.toISOString()} is not after windowFrom, ${from.toISOString()}; give a later time`)
  if (end - length > now)
    throw invalid('windowTo', `${to!.toISOString()} is yet to come; windows up to the one that is open now can be run`)
  const count = (end - first) / length
  if (count > MOST_WINDOWS)
    throw invalid('windowTo', `that makes ${count} windows; ${MOST_WINDOWS} are allowed at once: run it in parts`)
  return Array.from({ length: count }, (_, index) => windowAt(job, first + index * length))
}

const every = (offset: number, step: number, end: number): string =>
  Array.from({ length: end / step }, (_, index) => (offset + index * step) % end)
    .toSorted((a, b) => a - b)
    .join(',')

/** When windows are due, as a cron pattern with seconds. @throws {TypeError} for a length that no clock can show */
export const patternOf = ({ name, windowSeconds, settleSeconds }: Job): string => {
  const offset = settleSeconds % windowSeconds
  const [second, minute, hour] = [offset % 60, Math.floor(offset / 60) % 60, Math.floor(offset / 3600)]
  if (60 % windowSeconds === 0) return `${every(second, windowSeconds, 60)} * * * * *`
  if (windowSeconds % 60 === 0 && 3600 % windowSeconds === 0)
    return `${second} ${every(minute, windowSeconds / 60, 60)} * * * *`
  if (windowSeconds % 3600 === 0 && 86_400 % windowSeconds === 0)
    return `${second} ${minute} ${every(hour, windowSeconds / 3600, 24)} * * *`
  throw new TypeError(`job ${name}: a window of ${windowSeconds} s divides neither a minute, an hour nor a day`)
}
