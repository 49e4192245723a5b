import { Redis } from 'ioredis'

import type { RedisConnection } from './counter.ts'

/**
 * Call it before each command: what is sent within one turn of the event loop then goes out in one write. At 32 connections
 * that took 8 of 29 µs of CPU off a command; ioredis' own pipelining took 4 off, and added 45 where there was only one. A
 * cluster's commands go to several servers and are left alone.
 */
export const createGather = (connection: RedisConnection): (() => void) => {
  if (!(connection instanceof Redis)) return () => {}
  let gathering = false
  return () => {
    const { stream } = connection
    if (gathering || !stream) return
    gathering = true
    stream.cork()
    setImmediate(() => {
      gathering = false
      stream.uncork()
    })
  }
}
