import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

import { tryLock } from '../lock.ts'
import type { Redis } from '../redis/index.ts'
import { BackupError } from './types.ts'

const BUSY = 'another back-up or restore is at work; try again when it is done'

/**
 * One back-up or restore at a time on a data folder, and with Redis among all processes.
 * @throws {BackupError} another one is at work
 */
export const inTurn = async <T>(
  { dataDir, redis, signal }: { dataDir: string; redis: Redis; signal?: AbortSignal | undefined },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> => {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const unlock = tryLock(join(dataDir, 'backup.lock'))
  if (!unlock) throw new BackupError(BUSY)
  try {
    const lease = await redis.acquire('backup')
    if (!lease) throw new BackupError(BUSY)
    try {
      return await work(signal ? AbortSignal.any([lease.signal, signal]) : lease.signal)
    } finally {
      await lease.release()
    }
  } finally {
    unlock()
  }
}
