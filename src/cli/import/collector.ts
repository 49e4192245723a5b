import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'

import { CliError } from '../errors.ts'
import type { Piece } from './lines.ts'

export interface Refusal {
  index: number
  field: string
  message: string
}

export type Sent = { accepted: number; rejected: number; errors: Refusal[] } | { offset: number }

/** What the collector knows of a file. */
export interface Known {
  prefixBytes: number
  fingerprint: string
  offset: number
}

/** What the collector answers, good or bad. */
interface Answer {
  accepted?: number
  rejected?: number
  errors?: Refusal[]
  offset?: number
  imports?: Known[]
  detail?: string
}

const LONGEST_PAUSE_MS = 10_000
/** Without any answer for this long the collector is gone, not restarting. */
const GIVE_UP_AFTER_MS = 120_000

const read = (text: string): Answer => {
  try {
    return JSON.parse(text) as Answer
  } catch {
    // Some proxy's own page: shown as it is.
    return { detail: text.slice(0, 300) }
  }
}

/** The collector as `import` uses it. Full spools and restarts are waited for; nothing is sent on before its turn. */
export const createCollectorClient = ({
  url,
  key,
  target,
  service,
  onWait,
}: {
  url: string
  key: string
  target: string
  service: string
  onWait: (reason: string) => void
}) => {
  const headers = { authorization: `Bearer ${key}` }
  const query = new URLSearchParams({ service })

  const refuse = (status: number, { detail }: Answer): never => {
    throw new CliError(`the collector at ${url} answered ${status}: ${detail ?? 'without saying why'}`)
  }

  const patiently = async (path: string, init: RequestInit): Promise<{ status: number; text: string }> => {
    let silentSince: number | undefined
    for (let pause = 200; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      try {
        const response = await fetch(`${url}${path}`, init)
        const text = await response.text()
        silentSince = undefined
        if (response.status !== 503 && response.status !== 429) return { status: response.status, text }
        onWait(`the collector is busy (${response.status})`)
        await wait(Math.max(pause, Number(response.headers.get('retry-after')) * 1000 || 0))
      } catch (error) {
        silentSince ??= Date.now()
        if (Date.now() - silentSince > GIVE_UP_AFTER_MS) {
          throw new CliError(
            `no answer from ${url} for ${GIVE_UP_AFTER_MS / 1000} s (${(error as Error).message}); see whether it runs, then import again: it goes on where it stopped`,
            1,
            error,
          )
        }
        onWait('the collector does not answer')
        await wait(pause)
      }
    }
  }

  return {
    known: async (): Promise<Known[]> => {
      const { status, text } = await patiently(`/v1/imports?${query}`, { headers })
      const answer = read(text)
      return status === 200 && answer.imports ? answer.imports : refuse(status, answer)
    },
    /** Rows of a piece, or how far the file is in where the piece is not next. `identity` undefined: a stream, known by nothing. */
    send: async ({ bytes, from, to }: Piece, identity: string | undefined): Promise<Sent> => {
      const { status, text } = await patiently(`${target}?${query}`, {
        method: 'POST',
        body: Uint8Array.from(bytes),
        headers: {
          ...headers,
          'content-type': 'application/x-ndjson',
          ...(identity === undefined
            ? { 'idempotency-key': randomUUID() }
            : { 'vedette-import': `${identity}:${from}-${to}` }),
        },
      })
      const answer = read(text)
      const { accepted, rejected, errors, offset } = answer
      if ((status === 202 || status === 422) && errors)
        return { accepted: accepted ?? 0, rejected: rejected ?? 0, errors }
      if (status === 409 && offset !== undefined) return { offset }
      if (status === 400 && identity === undefined && target === '/v1/requests') {
        // For whoever sends a body it is no JSON at all; here it is lines of a stream that are no rows.
        const lines = bytes
          .toString()
          .split('\n')
          .filter((line) => /\S/.test(line)).length
        return { accepted: 0, rejected: lines, errors: [{ index: 0, field: '', message: answer.detail ?? '' }] }
      }
      return refuse(status, answer)
    },
  }
}

export type CollectorClient = ReturnType<typeof createCollectorClient>
