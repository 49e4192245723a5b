import { statfs } from 'node:fs/promises'

/** No room: the spool is at its limit or the disk is nearly full. Nothing was taken. */
export class SpoolFullError extends Error {
  override name = 'SpoolFullError'
  /** Seconds after which trying again makes sense. */
  readonly retryAfter: number

  constructor(message: string, retryAfter = 5) {
    super(message)
    this.retryAfter = retryAfter
  }
}

/** A disk fuller than this hurts more than the spool: the database beside it needs room to merge. */
const LEAST_FREE_SHARE = 0.05
const LOOK_EVERY_MS = 1000

export interface Space {
  readonly used: number
  /** How many bytes there is room for, `bytes` at least. @throws {SpoolFullError} */
  require: (bytes: number) => Promise<number>
  add: (bytes: number) => void
}

export const createSpace = (folder: string, maxBytes: number): Space => {
  let used = 0
  let lookedAt = 0
  let freeShare = 1
  return {
    get used() {
      return used
    },
    require: async (bytes) => {
      if (used + bytes > maxBytes) {
        throw new SpoolFullError(
          `the spool holds ${used} bytes of at most ${maxBytes}: ClickHouse does not take them fast enough`,
        )
      }
      const now = performance.now()
      if (now - lookedAt > LOOK_EVERY_MS || freeShare < LEAST_FREE_SHARE) {
        lookedAt = now
        const disk = await statfs(folder)
        freeShare = disk.bavail / disk.blocks
      }
      if (freeShare < LEAST_FREE_SHARE) {
        throw new SpoolFullError(`the disk of ${folder} has ${(freeShare * 100).toFixed(1)} % free, less than 5 %`)
      }
      return maxBytes - used
    },
    add: (bytes) => {
      used += bytes
    },
  }
}
