import { createHash } from 'node:crypto'
import { request as requestInClear } from 'node:http'
import { request as requestByTls } from 'node:https'
import { isIP } from 'node:net'

import { Webhook } from 'standardwebhooks'

import { placeOf, RefusedTarget } from './address.ts'
import { slackBody, standardBody } from './body.ts'
import type { Notice } from './types.ts'

const TIMEOUT_MS = 10_000
/** Of an answer, which nobody reads: more is hung up on. */
const MOST_BYTES = 65_536

export interface WebhookTarget {
  kind: 'webhook' | 'slack'
  url: URL
  /** Stands for the address, which is a secret of its own. */
  hash: string
}

/** @param given `https://…`, or `slack+https://…` for a body that Slack understands */
export const targetOf = (given: string): WebhookTarget => ({
  kind: given.startsWith('slack+') ? 'slack' : 'webhook',
  url: new URL(given.replace(/^slack\+/, '')),
  hash: createHash('sha256').update(given).digest('base64url').slice(0, 16),
})

/** It was not taken. */
export class PostError extends Error {
  override name = 'PostError'
  /** Whether the same may go better in a moment. */
  readonly mayPass: boolean
  constructor(message: string, mayPass: boolean) {
    super(message)
    this.mayPass = mayPass
  }
}

interface Letter {
  url: URL
  /** Of `url`'s host: it is connected to this one, whatever the name leads to by now. */
  address: string
  headers: Record<string, string>
  body: string
}

/** @returns the status; redirects are answers like others, and not followed */
const exchange = ({ url, address, headers, body }: Letter, signal: AbortSignal): Promise<number> => {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const byTls = url.protocol === 'https:'
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const request = (byTls ? requestByTls : requestInClear)({
    host: address,
    port: url.port || (byTls ? 443 : 80),
    path: `${url.pathname}${url.search}`,
    method: 'POST',
    headers: { ...headers, host: url.host, 'content-length': String(Buffer.byteLength(body)) },
    // The certificate is the name's, not the address's.
    ...(byTls && isIP(host) === 0 ? { servername: host } : {}),
    // No connection of before, which may lead elsewhere.
    agent: false,
    signal,
  })
  request.on('error', reject)
  request.on('response', (response) => {
    const status = response.statusCode!
    let bytes = 0
    response.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > MOST_BYTES) request.destroy()
    })
    // With the status it is decided; how the rest of the answer ends is not waited for longer than the time allows.
    response.on('error', () => resolve(status))
    response.on('close', () => resolve(status))
  })
  request.end(body)
  return promise
}

const unlessLate = <T>(work: Promise<T>, signal: AbortSignal): Promise<T> => {
  const { promise, reject } = Promise.withResolvers<never>()
  const late = (): void => reject(signal.reason as Error)
  if (signal.aborted) late()
  signal.addEventListener('abort', late, { once: true })
  return Promise.race([work, promise]).finally(() => signal.removeEventListener('abort', late))
}

export interface Post {
  target: WebhookTarget
  notice: Notice
  /** Counted from 0: each goes to another address of the name, where it has several. */
  attempt: number
  signal: AbortSignal
}

/**
 * One attempt. Webhooks are sent at least once, with the same `webhook-id` each time, by which receivers tell what they have.
 * @throws {RefusedTarget} the target lies where none may be
 * @throws {PostError} it was not taken
 */
export const createPost = ({
  secret,
  allow,
  publicUrl,
}: {
  secret: string | undefined
  allow: readonly string[]
  publicUrl: string
}) => {
  const signer = secret === undefined ? undefined : new Webhook(secret)

  return async ({ target: { kind, url }, notice, attempt, signal }: Post): Promise<void> => {
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)])
    let status: number
    try {
      const { addresses } = await unlessLate(placeOf(url, allow), inTime)
      const now = new Date()
      const body = kind === 'slack' ? slackBody(notice, publicUrl) : standardBody(notice, publicUrl)
      const headers: Record<string, string> = { 'content-type': 'application/json', 'user-agent': 'Vedette' }
      if (kind === 'webhook' && signer) {
        headers['webhook-id'] = notice.id
        headers['webhook-timestamp'] = String(Math.floor(now.getTime() / 1_000))
        headers['webhook-signature'] = signer.sign(notice.id, now, body)
      }
      status = await exchange({ url, address: addresses[attempt % addresses.length]!, headers, body }, inTime)
    } catch (error) {
      if (error instanceof RefusedTarget) throw error
      throw new PostError(error instanceof Error ? error.message : String(error), true)
    }
    if (status >= 200 && status < 300) return
    const mayPass = status >= 500 || [408, 425, 429].includes(status)
    throw new PostError(
      `it answered ${status}${status >= 300 && status < 400 ? '; redirects are not followed' : ''}`,
      mayPass,
    )
  }
}
