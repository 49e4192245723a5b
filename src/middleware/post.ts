import {
  Agent,
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as httpRequest,
} from 'node:http'
import { Agent as TlsAgent, request as httpsRequest } from 'node:https'

/** Of an answer's body: enough for what Vedette answers, and for the beginning of some proxy's page. */
const MOST_ANSWER_BYTES = 65_536

export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  /** Empty where it was not asked for. */
  text: string
}

export type Answered = (error: Error | undefined, answer: Answer | undefined) => void

export interface Post {
  /**
   * `done` is called once, never before `send` returns. What is under way does not keep the process alive.
   * @param deadlineMs for the whole answer
   */
  send: (options: {
    path: string
    headers: Record<string, string | number>
    body: Buffer | string
    deadlineMs: number
    /** Whether the answer's body is of interest. */
    withBody: boolean
    done: Answered
  }) => void
  /** Ends its connections. */
  close: () => void
}

const readBody = (response: IncomingMessage, done: (text: string) => void): void => {
  const chunks: Buffer[] = []
  let length = 0
  response.on('data', (chunk: Buffer) => {
    if (length < MOST_ANSWER_BYTES) chunks.push(chunk)
    length += chunk.length
  })
  response.on('end', () => done(Buffer.concat(chunks).toString('utf8', 0, MOST_ANSWER_BYTES)))
}

/** POSTs to Vedette over connections of its own that are kept open. */
export const createPost = ({ url, key, maxSockets }: { url: URL; key: string; maxSockets: number }): Post => {
  const secure = url.protocol === 'https:'
  const agent = new (secure ? TlsAgent : Agent)({ keepAlive: true, maxSockets })
  const start = secure ? httpsRequest : httpRequest
  const base = url.pathname.replace(/\/+$/, '')
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port)
  const authorization = `Bearer ${key}`

  const send: Post['send'] = (options) => {
    const { path, headers, body, deadlineMs, withBody } = options
    let request: ClientRequest
    let over = false
    const timer = setTimeout(() => {
      request.destroy(new Error(`no answer within ${deadlineMs} ms`))
    }, deadlineMs).unref()
    const finish = (error: Error | undefined, answer: Answer | undefined): void => {
      if (over) return
      over = true
      clearTimeout(timer)
      options.done(error, answer)
    }
    const attempt = (isSecond: boolean): void => {
      request = start({
        agent,
        host,
        port,
        method: 'POST',
        path: base + path,
        headers: { ...headers, authorization, 'content-length': Buffer.byteLength(body) },
      })
      request.on('socket', (socket) => socket.unref())
      request.on('error', (error: NodeJS.ErrnoException) => {
        // The server closed an idle connection just when it was used again: nothing was read of this request.
        if (!over && !isSecond && request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE'))
          attempt(true)
        else finish(error, undefined)
      })
      request.on('response', (response) => {
        const { statusCode: status = 0, headers } = response
        // An answer that breaks off ends here too.
        response.on('error', (error) => finish(error, undefined))
        response.on('aborted', () => finish(new Error('the answer broke off'), undefined))
        if (withBody) readBody(response, (text) => finish(undefined, { status, headers, text }))
        else {
          response.resume()
          finish(undefined, { status, headers, text: '' })
        }
      })
      request.end(body)
    }
    attempt(false)
  }

  return { send, close: () => agent.destroy() }
}
