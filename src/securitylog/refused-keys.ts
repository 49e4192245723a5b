import type { SecurityLog } from './types.ts'

/** A request whose API key was not taken. */
export interface RefusedKeyNote {
  ip: string
  method: string
  /** Without the query. */
  path: string
  /** Never the key itself. */
  reason: string
}

export interface RefusedKeys {
  /** Never throws, never waits: a look into a map. */
  note: (refused: RefusedKeyNote) => void
  /** Writes what is counted. Before the security log is stopped. */
  stop: () => void
}

const FLUSH_MS = 1_000
/** Addresses told apart within a second; further ones are counted together, under no address. */
const MOST_ADDRESSES = 1_000
const OTHERS: RefusedKeyNote = { ip: '', method: '', path: '', reason: 'from further addresses' }

/** Refused keys as lines of the security log: one a second and address, with their number, so that a flood is no flood of lines. */
export const createRefusedKeys = ({ securityLog }: { securityLog: Pick<SecurityLog, 'write'> }): RefusedKeys => {
  let counted = new Map<string, RefusedKeyNote & { count: number }>()
  let timer: NodeJS.Timeout | undefined

  const flush = (): void => {
    clearTimeout(timer)
    timer = undefined
    const flushed = counted
    counted = new Map()
    for (const { ip, method, path, reason, count } of flushed.values())
      securityLog.write({ event: 'key_refused', ip, method, path, reason, count })
  }

  return {
    note: (refused) => {
      // A socket that takes both families says IPv4 in this way.
      const ip = refused.ip.replace(/^::ffff:(?=[\d.]+$)/i, '')
      const place = counted.has(ip) || counted.size < MOST_ADDRESSES ? ip : OTHERS.ip
      const known = counted.get(place)
      if (known) known.count++
      else counted.set(place, { ...(place === OTHERS.ip ? OTHERS : { ...refused, ip }), count: 1 })
      timer ??= setTimeout(flush, FLUSH_MS).unref()
    },
    stop: flush,
  }
}
