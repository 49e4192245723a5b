import { createHash } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'

import { encodeNdjson } from './day.ts'
import type { DemoEvent } from './event.ts'

export interface SendOptions {
  /** The collector's address, such as `http://127.0.0.1:8080`. */
  url: string
  /** An API key with the scope COLLECT. */
  key: string
  events: readonly DemoEvent[]
  rowsPerPost?: number
  /** POSTs on their way at the same time. */
  concurrency?: number
  /** Tries of one POST before the whole gives up; with the longest pause of 5 s between them, about a minute and a half. */
  attempts?: number
  onProgress?: (sent: number, all: number) => void
  signal?: AbortSignal
}

export interface SendResult {
  accepted: number
  rejected: number
  /** The first few refused rows, by their place in `events`. */
  errors: { index: number; field: string; message: string }[]
  /** POSTs that had to be sent again. */
  retries: number
  /** Whether the last rows could be queried when the collector answered. */
  stored: boolean
  elapsedMs: number
}

interface Answer {
  accepted: number
  rejected: number
  errors?: { index: number; field: string; message: string }[]
  stored?: boolean
}

const SHORTEST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 5_000
const ERRORS_KEPT = 10

/** What the collector said no to for good; the message has its status and its words. */
export class SendError extends Error {
  override name = 'SendError'
}

/** Milliseconds until the next try: what `Retry-After` says, else longer each time. */
const pauseOf = (retryAfter: string | null, attempt: number): number => {
  const seconds = Number(retryAfter)
  const said = retryAfter !== null && Number.isFinite(seconds) ? seconds * 1_000 : 100 * 2 ** attempt
  return Math.min(Math.max(said, SHORTEST_PAUSE_MS), LONGEST_PAUSE_MS)
}

/**
 * Sends events to `POST /v1/requests` as NDJSON. Each POST carries an `Idempotency-Key` made of its bytes, so that one
 * sent again, by this call or by the same demo later, is stored once.
 * @throws {SendError} refused for good, or not taken after all attempts
 */
export const send = async ({
  url,
  key,
  events,
  rowsPerPost = 1_000,
  concurrency = 4,
  attempts = 20,
  onProgress,
  signal,
}: SendOptions): Promise<SendResult> => {
  const started = performance.now()
  const result: SendResult = { accepted: 0, rejected: 0, errors: [], retries: 0, stored: false, elapsedMs: 0 }
  const posts = Math.ceil(events.length / rowsPerPost)
  let sent = 0
  const giveUp = new AbortController()
  const stopped = signal ? AbortSignal.any([signal, giveUp.signal]) : giveUp.signal

  const post = async (number: number): Promise<void> => {
    const first = number * rowsPerPost
    const rows = events.slice(first, first + rowsPerPost)
    const body = encodeNdjson(rows)
    // Whoever waits for the last rows finds the earlier ones stored too.
    const target = `${url}/v1/requests${number === posts - 1 ? '?wait=stored' : ''}`
    const headers = {
      authorization: `Bearer ${key}`,
      'content-type': 'application/x-ndjson',
      'idempotency-key': `demo-${createHash('sha256').update(body).digest('hex').slice(0, 40)}`,
    }
    for (let attempt = 1; ; attempt++) {
      let reason: string
      let pause = pauseOf(null, attempt)
      try {
        const response = await fetch(target, { method: 'POST', headers, body, signal: stopped })
        const text = await response.text()
        if (response.status === 202) {
          const answer = JSON.parse(text) as Answer
          result.accepted += answer.accepted
          result.rejected += answer.rejected
          result.stored ||= answer.stored === true
          for (const error of answer.errors ?? []) {
            if (result.errors.length < ERRORS_KEPT) result.errors.push({ ...error, index: first + error.index })
          }
          break
        }
        reason = `${response.status} ${text.slice(0, 300)}`
        if (response.status !== 429 && response.status < 500) {
          throw new SendError(`the collector at ${url} refused rows ${first} to ${first + rows.length - 1}: ${reason}`)
        }
        pause = pauseOf(response.headers.get('retry-after'), attempt)
      } catch (error) {
        if (error instanceof SendError || stopped.aborted) throw error
        const { message, cause } = error as Error
        reason = cause instanceof Error ? `${message} (${cause.message})` : message
      }
      if (attempt >= attempts) {
        throw new SendError(`the collector at ${url} did not take rows after ${attempts} attempts: ${reason}`)
      }
      result.retries++
      await wait(pause, undefined, { signal: stopped })
    }
    sent += rows.length
    onProgress?.(sent, events.length)
  }

  let next = 0
  const worker = async (): Promise<void> => {
    while (next < posts - 1) await post(next++)
  }
  const workers = Array.from({ length: concurrency }, worker)
  await Promise.all(workers).catch(async (error: unknown) => {
    // The others would go on trying for a minute and a half.
    next = posts
    giveUp.abort()
    await Promise.allSettled(workers)
    throw error
  })
  if (posts > 0) await post(posts - 1)
  result.elapsedMs = performance.now() - started
  return result
}
