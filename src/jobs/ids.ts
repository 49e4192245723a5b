import { randomInt } from 'node:crypto'

export const JOB_RUN_ID = 'run_'

/** Whether it can be the id of a run, without `run_`. */
export const isRunId = (text: string): boolean => /^\d{1,20}$/.test(text) && BigInt(text) < 2n ** 64n

/** Bits behind the milliseconds. */
const FRACTION = 22

/**
 * Ids that rise with time, a UInt64 as text: milliseconds, then random bits that keep processes apart. Within a process each is greater
 * than the one before, whatever the clock does.
 */
export const createRunIds = (): (() => string) => {
  let last = 0n
  return () => {
    const next = (BigInt(Date.now()) << BigInt(FRACTION)) | BigInt(randomInt(2 ** FRACTION))
    last = next > last ? next : last + 1n
    return last.toString()
  }
}
