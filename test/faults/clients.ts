import { randomUUID } from 'node:crypto'

import { expect } from 'vitest'

import type { ClickHouse } from '../../src/clickhouse/index.ts'
import { sql } from '../../src/clickhouse/index.ts'

export interface Tally {
  /** Ids of rows that got a 202. */
  acknowledged: Set<string>
  /** Ids of rows that were sent, whatever came of it. */
  sent: Set<string>
  /** Answers by status; `none`: the connection broke. */
  answers: Map<string, number>
  /** Why nothing was taken, as the answers of 503 say it, numbers aside. */
  reasons: Map<string, number>
  /** Answers of 503 without Retry-After, which there must be none of. */
  bare503: number
}

export interface Clients {
  tally: Tally
  stop: () => Promise<void>
}

const DAY_MS = 86_400_000

/**
 * Clients that send until they are stopped. Each row has an id of its own as its path. Half of the clients send with an
 * Idempotency-Key and repeat a request until it is answered, as a shipper would; the others never repeat.
 */
export const startClients = ({
  url,
  key,
  clients,
  rowsPerPost,
}: {
  url: () => string
  key: () => Promise<string>
  clients: number
  rowsPerPost: number
}): Clients => {
  const tally: Tally = { acknowledged: new Set(), sent: new Set(), answers: new Map(), reasons: new Map(), bare503: 0 }
  const stopping = new AbortController()
  const count = (what: string, counts = tally.answers): void => void counts.set(what, (counts.get(what) ?? 0) + 1)

  const post = async (body: string, ids: readonly string[], idempotencyKey: string | undefined): Promise<boolean> => {
    try {
      const response = await fetch(`${url()}/v1/requests`, {
        method: 'POST',
        body,
        headers: {
          authorization: `Bearer ${await key()}`,
          'content-type': 'application/x-ndjson',
          ...(idempotencyKey && { 'idempotency-key': idempotencyKey }),
        },
      })
      const text = await response.text()
      count(String(response.status))
      if (response.status === 503) {
        if (!response.headers.get('retry-after')) tally.bare503++
        count((JSON.parse(text) as { detail: string }).detail.replaceAll(/\d+(\.\d+)?/g, 'N'), tally.reasons)
      }
      if (response.status === 202) for (const id of ids) tally.acknowledged.add(id)
      return response.status === 202
    } catch {
      count('none')
      return false
    }
  }

  const client = async (repeats: boolean): Promise<void> => {
    while (!stopping.signal.aborted) {
      const ids = Array.from({ length: 1 + Math.floor(Math.random() * rowsPerPost) }, () => randomUUID())
      for (const id of ids) tally.sent.add(id)
      const body = ids
        .map((id, place) =>
          JSON.stringify({
            // Of several days, so that an insert that is cut short may leave some partitions in and others out.
            timestamp: Date.now() - (place % 3) * DAY_MS,
            ip: `10.${ids.length % 250}.0.1`,
            method: 'GET',
            path: `/${id}`,
            status: 200,
            service: 'fault',
          }),
        )
        .join('\n')
      const idempotencyKey = repeats ? randomUUID() : undefined
      // A request that was begun is brought to its end also after `stop`, or nobody would know what came of it.
      while (!(await post(body, ids, idempotencyKey))) {
        await new Promise((resolve) => setTimeout(resolve, 50))
        if (!repeats) break
      }
    }
  }

  const all = Promise.all(Array.from({ length: clients }, (_, number) => client(number % 2 === 0)))
  return {
    tally,
    stop: async () => {
      stopping.abort()
      await all
    },
  }
}

const few = <T>(found: readonly T[]) => ({ count: found.length, some: found.slice(0, 3) })

/** Every acknowledged row exactly once, none twice, none that nobody sent. */
export const expectExactlyOnce = async (clickhouse: ClickHouse, { acknowledged, sent }: Tally): Promise<void> => {
  const { rows } = await clickhouse.query<{ id: string; times: number }>(
    sql`SELECT substring(path, 2) AS id, count() AS times FROM request_logs WHERE service = 'fault' GROUP BY id`,
  )
  const stored = new Map(rows.map(({ id, times }) => [id, times]))
  const missing = [...acknowledged].filter((id) => !stored.has(id))
  const doubled = [...stored].filter(([, times]) => times !== 1)
  const unknown = [...stored.keys()].filter((id) => !sent.has(id))
  const none = { count: 0, some: [] }
  expect({ missing: few(missing), doubled: few(doubled), unknown: few(unknown) }).toEqual({
    missing: none,
    doubled: none,
    unknown: none,
  })
}
