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

const LONGEST_PAUSE_MS = 10_000
/** Without any answer for this long the collector is gone, not restarting. */
const GIVE_UP_AFTER_MS = 120_000

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

  const refuse = (status: number, text: string): never => {
    let detail = text.slice(0, 300)
    try {
      detail = (JSON.parse(text) as { detail?: string }).detail ?? detail
    } catch {
      // Some proxy's own page: shown as it is.
    }
    throw new CliError(`the collector at ${url} answered ${status}: ${detail}`)
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
      return status === 200 ? (JSON.parse(text) as { imports: Known[] }).imports : refuse(status, text)
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
      const answer = JSON.parse(text) as {
        accepted: number
        rejected: number
        errors: Refusal[]
        offset?: number
        detail?: string
      }
      if (status === 202 || (status === 422 && answer.errors))
        return { accepted: answer.accepted, rejected: answer.rejected, errors: answer.errors }
      if (status === 409 && answer.offset !== undefined) return { offset: answer.offset }
      return refuse(status, text)
    },
  }
}

export type CollectorClient = ReturnType<typeof createCollectorClient>
