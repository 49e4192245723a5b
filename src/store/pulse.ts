import { type ClickHouse, sql } from '../clickhouse/index.ts'

/** Stands for the rows of a kind as they are: another one, and there are others. Undefined: it cannot be told now. */
export type Mark = string | undefined

/** One question a beat, whatever the number of kinds that are followed: a question for each of ten took a tenth of a core. */
export interface Pulse {
  /** Once a beat until it is ended. */
  follow: (kind: string, listener: (mark: Mark) => void) => () => void
}

const NO_ROWS = 'none'
/** Longer than this, and ClickHouse counts as away. */
const DEADLINE_MS = 3_000

const createPulse = (clickhouse: ClickHouse, everyMs: number): Pulse => {
  const followers = new Set<{ kind: string; listener: (mark: Mark) => void }>()
  let timer: NodeJS.Timeout | undefined
  let beating = false

  const marks = async (): Promise<Map<string, string> | undefined> => {
    try {
      const { rows } = await clickhouse.query<{ kind: string; mark: string }>(
        // Rows are added and, by `vedette forget`, deleted: never changed.
        sql`SELECT kind, concat(toString(count()), ' ', toString(sum(toUnixTimestamp64Milli(changed_at)))) AS mark FROM store_versions GROUP BY kind`,
        { signal: AbortSignal.timeout(DEADLINE_MS), comment: 'store' },
      )
      return new Map(rows.map(({ kind, mark }) => [kind, mark]))
    } catch {
      // Whoever follows asks by itself then, and says what is wrong.
      return undefined
    }
  }

  const beat = async (): Promise<void> => {
    beating = true
    const startedAt = performance.now()
    const known = await marks()
    for (const { kind, listener } of followers) listener(known && (known.get(kind) ?? NO_ROWS))
    beating = false
    if (followers.size > 0) schedule(Math.max(50, everyMs - (performance.now() - startedAt)))
  }
  const schedule = (ms: number): void => {
    timer = setTimeout(() => void beat(), ms)
  }

  return {
    follow: (kind, listener) => {
      const follower = { kind, listener }
      followers.add(follower)
      if (followers.size === 1 && !beating) schedule(everyMs)
      return () => {
        followers.delete(follower)
        if (followers.size === 0) clearTimeout(timer)
      }
    },
  }
}

const pulses = new WeakMap<ClickHouse, Map<number, Pulse>>()

/** The one of this connection and interval. */
export const pulseOf = (clickhouse: ClickHouse, everyMs: number): Pulse => {
  const known = pulses.get(clickhouse) ?? new Map<number, Pulse>()
  pulses.set(clickhouse, known)
  const pulse = known.get(everyMs) ?? createPulse(clickhouse, everyMs)
  known.set(everyMs, pulse)
  return pulse
}
