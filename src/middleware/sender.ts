import { randomUUID } from 'node:crypto'
import { promisify } from 'node:util'
import { constants, gzip as gzipCallback } from 'node:zlib'

import type { Answer, Post } from './post.ts'
import type { Batch } from './rows.ts'
import type { Warnings } from './warnings.ts'

const gzip = promisify(gzipCallback)

/** Vedette answers when the rows are on its disk: milliseconds, or seconds where that is busy. */
const ANSWER_MS = 30_000
const SHORTEST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 30_000
/** Of what `Retry-After` may ask for. */
const LONGEST_ASKED_MS = 60_000
/** While closing, the deadline is near. */
const CLOSING_PAUSE_MS = 100

interface Queued extends Batch {
  /** The same for every try, and so are the bytes: taken once, however often it is sent. */
  key: string
  packed: Buffer | undefined
}

export interface SentCounts {
  /** Rows that Vedette took. */
  sent: number
  /** Rows that Vedette refused one by one. */
  rejected: number
  /** POSTs that were sent again. */
  retried: number
}

interface Refusals {
  accepted?: number
  rejected?: number
  errors?: { message?: string }[]
  detail?: string
}

const read = (text: string): Refusals => {
  try {
    return JSON.parse(text) as Refusals
  } catch {
    // Some proxy's own page.
    return { detail: text.slice(0, 200) }
  }
}

const REMEDIES: Record<number, string> = {
  401: 'give the key that `vedette keys create --scope COLLECT` prints',
  403: 'give a key with the scope COLLECT that may write this service',
  404: 'give as url the address at which Vedette itself answers',
}

/** Milliseconds to wait: what was asked for, else longer each time; spread, so that a fleet does not come back all at once. */
const pauseOf = (attempt: number, retryAfter: string | undefined): number => {
  const asked = Number(retryAfter) * 1000
  const least =
    asked > 0 ? Math.min(asked, LONGEST_ASKED_MS) : Math.min(SHORTEST_PAUSE_MS * 2 ** (attempt - 1), LONGEST_PAUSE_MS)
  return asked > 0 ? least * (1 + Math.random() / 4) : least * (0.5 + Math.random() / 2)
}

const remedyOf = (status: number): string | undefined =>
  status >= 300 && status < 400 ? REMEDIES[404] : REMEDIES[status]

const isForLater = (status: number): boolean => status === 408 || status === 429 || status >= 500

/** Sends batches in order, one at a time, until Vedette has taken them or refused them for good. */
export const createSender = ({
  post,
  service,
  compress,
  warnings,
  recycle,
}: {
  post: Post
  service: string
  compress: boolean
  warnings: Warnings
  recycle: (batch: Batch) => void
}) => {
  const path = `/v1/requests?${new URLSearchParams({ service })}`
  const counts: SentCounts = { sent: 0, rejected: 0, retried: 0 }
  const queue: Queued[] = []
  let rows = 0
  let bytes = 0
  let running = false
  let closing = false
  let wake: (() => void) | undefined
  let whenEmpty: (() => void)[] = []

  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, closing ? Math.min(ms, CLOSING_PAUSE_MS) : ms).unref()
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })

  const postOnce = (batch: Queued): Promise<Answer | Error> =>
    new Promise((resolve) => {
      post.send({
        path,
        headers: {
          'content-type': 'application/x-ndjson',
          'idempotency-key': batch.key,
          ...(batch.packed && { 'content-encoding': 'gzip' }),
        },
        body: batch.packed ?? batch.bytes,
        deadlineMs: ANSWER_MS,
        withBody: true,
        done: (error, answer) => resolve(error ?? answer!),
      })
    })

  const settle = (batch: Queued, { status, text }: Answer): void => {
    const { accepted, rejected = 0, errors, detail } = read(text)
    if (status === 202) {
      counts.sent += accepted ?? batch.rows
      counts.rejected += rejected
      if (rejected > 0)
        warnings.warn(
          'rejected',
          `Vedette refused ${rejected} of ${batch.rows} rows: ${errors?.[0]?.message ?? detail}`,
        )
      return
    }
    const remedy = remedyOf(status)
    warnings.drop(
      batch.rows,
      `Vedette refused them with ${status}: ${detail ?? 'it did not say why'}${remedy ? `; ${remedy}` : ''}`,
    )
  }

  /** Until it is taken, or refused for good. */
  const deliver = async (batch: Queued): Promise<void> => {
    if (compress) batch.packed ??= await gzip(batch.bytes, { level: constants.Z_BEST_SPEED })
    for (let attempt = 1; queue[0] === batch; attempt++) {
      const answer = await postOnce(batch)
      // Given up meanwhile, and counted so.
      if (queue[0] !== batch) return
      if (!(answer instanceof Error) && !isForLater(answer.status)) {
        settle(batch, answer)
        return
      }
      const reason = answer instanceof Error ? answer.message : `it answered ${answer.status}`
      warnings.warn(
        'away',
        `Vedette does not take request logs (${reason}); they are kept, ${rows} so far, and sent again`,
      )
      await pause(pauseOf(attempt, answer instanceof Error ? undefined : answer.headers['retry-after']))
      if (queue[0] === batch) counts.retried++
    }
  }

  const run = async (): Promise<void> => {
    running = true
    while (queue.length > 0) {
      const batch = queue[0]!
      try {
        await deliver(batch)
      } catch (error) {
        warnings.fault('a batch could not be sent', error)
        warnings.drop(batch.rows, 'a fault of vedette/middleware')
      }
      // Unless `abandon` was faster.
      if (queue[0] === batch) {
        queue.shift()
        rows -= batch.rows
        bytes -= batch.held
        recycle(batch)
      }
    }
    running = false
    for (const done of whenEmpty) done()
    whenEmpty = []
  }

  return {
    counts,
    rows: () => rows,
    bytes: () => bytes,
    push: (batch: Batch): void => {
      queue.push({ ...batch, key: randomUUID(), packed: undefined })
      rows += batch.rows
      bytes += batch.held
      if (!running) void run()
    },
    /** Sends at once what waits for its next try, and resolves when nothing is left. */
    drain: (): Promise<void> => {
      if (!running) return Promise.resolve()
      wake?.()
      return new Promise((resolve) => whenEmpty.push(resolve))
    },
    /** From now on pauses are short. */
    hurry: (): void => {
      closing = true
    },
    /** Gives up what is left. */
    abandon: (reason: string): void => {
      if (rows > 0) warnings.drop(rows, reason)
      queue.length = 0
      rows = 0
      bytes = 0
      wake?.()
    },
  }
}

export type Sender = ReturnType<typeof createSender>
