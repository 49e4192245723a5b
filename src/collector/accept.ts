import type { Principal } from '../http/index.ts'
import type { Mark, Spool } from '../spool/index.ts'
import type { Growing } from './buffers.ts'
import { type Batch, encodeRow, mayBeIllFormed } from './encode.ts'
import { Fault } from './fault.ts'
import { type Format, NotJsonError } from './formats/format.ts'
import type { Locate } from './locate.ts'
import type { CollectorMetrics } from './metrics.ts'
import { createBatchIds, REQUEST_LOGS } from './table.ts'
import { createTurns } from './turns.ts'
import { validate } from './validate.ts'

const DAY_MS = 86_400_000
const MOST_ERRORS_LISTED = 100

export interface RowError {
  /** Place of the row in the body, from 0; blank lines do not count. */
  index: number
  /** Empty: the row as a whole. */
  field: string
  message: string
}

export interface Answer {
  batchId: string
  accepted: number
  rejected: number
  /** The first 100. */
  errors: RowError[]
}

export interface Acceptance {
  answer: Answer
  /** Resolves when the rows can be queried. */
  stored: Promise<void>
}

export interface AcceptInput {
  body: Buffer
  format: Format
  principal: Pick<Principal, 'services'>
  /** For rows that name none. */
  service?: string | undefined
  /** Kept with the rows, so that the same request again gets the same answer. */
  receipt?: { key: string; fingerprint: string } | undefined
  mark?: Mark | undefined
  /** Whether the client waits until the rows can be queried. */
  urgent?: boolean
}

/** Rows of a piece of a file: that none of them is JSON is no reason to stop there for ever. */
function* pastNoJson(rows: Iterable<readonly unknown[]>): Iterable<readonly unknown[]> {
  try {
    yield* rows
  } catch (error) {
    if (!(error instanceof NotJsonError)) throw error
  }
}

/**
 * From a body to rows on disk: decode, validate, locate and encode in slices, then one record in the spool. All of the
 * body is read before any of it is kept, so what is not JSON leaves nothing behind.
 */
export const createAccept = ({
  spool,
  locate,
  mask,
  metrics,
  growing,
}: {
  spool: Pick<Spool, 'append'>
  locate: Locate
  mask: (query: string) => string
  metrics: CollectorMetrics
  growing: () => Growing
}) => {
  const turns = createTurns()
  const nextBatch = createBatchIds()

  /** Reads all rows of the body into `encoded`. @throws {NotJsonError} */
  const readRows = async (
    { body, format, principal, service, mark }: AcceptInput,
    { batch, now, encoded }: { batch: Batch; now: number; encoded: Growing },
  ): Promise<{ accepted: number; rejected: number; errors: RowError[]; days: Set<number> }> => {
    const validation = { locate, mask, now, principal, service }
    const days = new Set<number>()
    const errors: RowError[] = []
    let accepted = 0
    let rejected = 0
    await turns.yield()
    for (const piece of mark ? pastNoJson(format.rows(body)) : format.rows(body)) {
      metrics.received.inc(piece.length)
      let text = ''
      for (const raw of piece) {
        const log = validate(raw, validation)
        if (log instanceof Fault) {
          if (errors.length < MOST_ERRORS_LISTED)
            errors.push({ index: accepted + rejected, field: log.field, message: log.message })
          metrics.rejected.inc({ reason: log.reason })
          rejected++
        } else {
          text += encodeRow(log, batch, accepted)
          days.add(Math.floor(log.timestamp / DAY_MS))
          accepted++
        }
      }
      encoded.appendText(text)
      await turns.yield()
    }
    return { accepted, rejected, errors, days }
  }

  /** @throws {NotJsonError} @throws {SpoolFullError} */
  return async (input: AcceptInput): Promise<Acceptance> => {
    const { body, receipt, mark, urgent = false } = input
    const now = Date.now()
    const batch: Batch = {
      id: nextBatch(),
      ingestedAt: new Date(now).toISOString().slice(0, 19).replace('T', ' '),
      illFormed: mayBeIllFormed(body),
    }
    const encoded = growing()
    try {
      const { accepted, rejected, errors, days } = await readRows(input, { batch, now, encoded })
      const answer: Answer = { batchId: batch.id, accepted, rejected, errors }
      // A mark moves on even past lines that are no rows, or the import would try them for ever.
      if (accepted === 0 && !mark) return { answer, stored: Promise.resolve() }
      const { stored } = await spool.append(REQUEST_LOGS.name, {
        meta: {
          batch: batch.id,
          rows: accepted,
          partitions: [...days],
          ...(receipt && { receipt: { ...receipt, answer: JSON.stringify(answer), at: now } }),
          ...(mark && { mark }),
        },
        rows: [encoded.bytes()],
        urgent,
      })
      metrics.accepted.inc(accepted)
      return { answer, stored }
    } finally {
      encoded.release()
    }
  }
}

export type Accept = ReturnType<typeof createAccept>
