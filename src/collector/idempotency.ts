import { createHash } from 'node:crypto'

import type { Logger } from 'pino'

import { problem } from '../http/index.ts'
import { type Redis, RedisError } from '../redis/index.ts'
import { RECEIPT_HOURS, type Receipt, type Spool } from '../spool/index.ts'
import type { Acceptance, Answer } from './accept.ts'

const TTL_MS = RECEIPT_HOURS * 3_600_000

/** What Redis knows of a key: somebody works on it, or it has its answer. */
type Shared =
  | { state: 'pending'; owner: string; fingerprint: string }
  | { state: 'done'; fingerprint: string; answer: string }

const redisKey = (key: string): string => `vedette:idempotency:${key}`

const replay = (
  receipt: Pick<Receipt, 'fingerprint' | 'answer'>,
  fingerprint: string,
  stored: Promise<void>,
): Acceptance => {
  if (receipt.fingerprint !== fingerprint) throw conflict()
  return { answer: JSON.parse(receipt.answer) as Answer, stored }
}

export interface Outcome {
  acceptance: Acceptance
  replayed: boolean
}

/** Identifies a request for its API key; hashed, since clients choose keys freely and some put secrets into them. */
export const receiptKey = (keyId: string, idempotencyKey: string): string =>
  createHash('sha256').update(`${keyId}\0${idempotencyKey}`).digest('base64url')

const conflict = (): Error =>
  problem(422, {
    detail: 'This Idempotency-Key was used for a request with another body or target; use a new key for each request.',
  })

const busy = (): Error =>
  problem(503, {
    detail: 'A request with this Idempotency-Key is being worked on. Nothing was taken twice; ask again.',
    headers: { 'retry-after': '1' },
  })

/**
 * The same Idempotency-Key from the same API key: the same answer, and nothing stored twice.
 *
 * The receipt lies in the same record as the rows, so it is there exactly when they are, also after a crash. With Redis
 * the key is claimed there first, so that it holds for all processes; a claim of this very data folder is from before a
 * crash that left no record, and is taken over. Should Redis be away, what this process knows has to do.
 */
export const createIdempotency = ({
  journal,
  redis,
  log,
  owner,
}: {
  journal: Pick<Spool['journal'], 'receipt' | 'stored'>
  redis: Redis
  log: Logger
  /** Names this data folder, in this life and the next. */
  owner: string
}) => {
  const inFlight = new Map<string, Promise<Outcome>>()
  /** Undefined: the key is ours to work on. */
  const claim = async (key: string, fingerprint: string): Promise<Acceptance | undefined> => {
    const mine: Shared = { state: 'pending', owner, fingerprint }
    if (await redis.setIfAbsent(redisKey(key), JSON.stringify(mine), TTL_MS)) return undefined
    const found = await redis.get(redisKey(key))
    if (found === undefined) return await claim(key, fingerprint)
    const other = JSON.parse(found) as Shared
    if (other.fingerprint !== fingerprint) throw conflict()
    if (other.state === 'done') return replay(other, fingerprint, Promise.resolve())
    if (other.owner !== owner) throw busy()
    return undefined
  }

  const tell = async (what: string, command: () => Promise<unknown>): Promise<void> => {
    try {
      await command()
    } catch (error) {
      if (!(error instanceof RedisError)) throw error
      log.warn({ err: error }, `Redis is away: ${what} is known to this process only`)
    }
  }

  const once = async (key: string, fingerprint: string, work: () => Promise<Acceptance>): Promise<Outcome> => {
    let claimed: Acceptance | undefined
    if (redis.shared) {
      await tell('an idempotency key', async () => {
        claimed = await claim(key, fingerprint)
      })
    }
    if (claimed) return { acceptance: claimed, replayed: true }
    try {
      const acceptance = await work()
      if (redis.shared) {
        const done: Shared = { state: 'done', fingerprint, answer: JSON.stringify(acceptance.answer) }
        const taken = acceptance.answer.accepted > 0
        await tell('an answer', () =>
          taken ? redis.set(redisKey(key), JSON.stringify(done), TTL_MS) : redis.delete(redisKey(key)),
        )
      }
      return { acceptance, replayed: false }
    } catch (error) {
      // Nothing was taken, so the key is free again.
      if (redis.shared) await tell('a freed key', () => redis.delete(redisKey(key)))
      throw error
    }
  }

  return {
    run: async (key: string, fingerprint: string, work: () => Promise<Acceptance>): Promise<Outcome> => {
      // Whoever comes while the first is being worked on waits for it; should it fail, one of them goes first.
      for (let other = inFlight.get(key); other; other = inFlight.get(key)) await other.catch(() => {})
      const receipt = journal.receipt(key)
      if (receipt) return { acceptance: replay(receipt, fingerprint, journal.stored(key)), replayed: true }
      const running = once(key, fingerprint, work)
      inFlight.set(key, running)
      try {
        return await running
      } finally {
        inFlight.delete(key)
      }
    },
  }
}

export type Idempotency = ReturnType<typeof createIdempotency>
