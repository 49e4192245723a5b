import { createHash, randomUUID, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'

import { createAnswer } from './answer.ts'
import { countLines, readBody } from './body.ts'
import { type Calls, cancelledError } from './calls.ts'
import { EngineError, toEngineError } from './error.ts'
import { formatOf, parseStatement, type Way, wayOf } from './statement.ts'

/** As a server's http_max_uri_size, and room for the headers; parameters travel in the URL. */
const MAX_HEADER_BYTES = 2 ** 20 + 2 ** 16

export interface Front {
  server: Server
  /** Cancels the statements that run or wait: those that only read, or all. */
  cancel: (which: 'reads' | 'all') => void
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** User and password by Basic, X-ClickHouse-User/-Key or the URL, compared in constant time. */
const authenticate = (request: IncomingMessage, url: URL, expected: Buffer): void => {
  const { authorization } = request.headers
  const [, basic] = /^Basic\s+(\S+)$/i.exec(authorization ?? '') ?? []
  const user = request.headers['x-clickhouse-user'] ?? url.searchParams.get('user') ?? 'default'
  const given = basic
    ? Buffer.from(basic, 'base64').toString()
    : `${String(user)}:${String(request.headers['x-clickhouse-key'] ?? url.searchParams.get('password') ?? '')}`
  if (timingSafeEqual(digest(given), expected)) return
  const name = given.slice(0, Math.max(0, given.indexOf(':')))
  throw new EngineError(
    516,
    'AUTHENTICATION_FAILED',
    `${name}: Authentication failed: password is incorrect, or there is no user with such name.`,
  )
}

/** ClickHouse's HTTP interface over the embedded engine. */
export const createFront = (calls: Calls, credentials: { user: string; password: string }): Front => {
  const expected = digest(`${credentials.user}:${credentials.password}`)
  const live = new Map<AbortController, Way | undefined>()

  const run = async (request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> => {
    const queryId = url.searchParams.get('query_id') || randomUUID()
    let answer = createAnswer(request, response, { queryId, format: 'TabSeparated', compress: false })
    const cancel = new AbortController()
    const onClose = (): void => cancel.abort(cancelledError())
    response.once('close', onClose)
    live.set(cancel, undefined)
    try {
      authenticate(request, url, expected)
      const statement = parseStatement(url, request.method ?? 'GET', request.headers)
      const compress = statement.settings.get('enable_http_compression') === '1'
      const body = await readBody(request)
      const inBody = statement.text === ''
      if (inBody) statement.text = body.toString()
      answer = createAnswer(request, response, { queryId, format: formatOf(statement), compress })
      const way = wayOf(statement)
      live.set(cancel, way)
      if (!inBody && way !== 'insert' && body.length > 0) statement.text += `\n${body.toString()}`
      switch (way) {
        case 'stream':
          for await (const block of calls.blocks(statement, cancel.signal)) await answer.write(block)
          cancel.signal.throwIfAborted()
          answer.end()
          break
        case 'insert': {
          const rows = inBody ? Buffer.alloc(0) : body
          await calls.insert(statement, rows, cancel.signal)
          answer.end({ written_rows: countLines(rows), written_bytes: rows.length })
          break
        }
        case 'read':
        case 'command': {
          const whole = await calls.whole(statement, way === 'read' ? 'reads' : 'commands', cancel.signal)
          answer.end({ read_rows: whole.rowsRead, read_bytes: whole.bytesRead }, whole.bytes)
        }
      }
    } catch (error) {
      answer.fail(toEngineError(error))
    } finally {
      live.delete(cancel)
      response.removeListener('close', onClose)
      // What is left of a refused body is read and dropped, so that the client gets to read the answer.
      request.resume()
    }
  }

  const ping = async (response: ServerResponse): Promise<void> => {
    try {
      await calls.ping()
      response.end('Ok.\n')
    } catch (error) {
      response.writeHead(503).end(toEngineError(error).body)
    }
  }

  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES, keepAliveTimeout: 10_000 }, (request, response) => {
    const url = new URL(request.url ?? '/', 'http://engine')
    if (url.pathname === '/ping') void ping(response)
    else if (url.pathname !== '/') response.writeHead(404).end('There is no handle other than / and /ping\n')
    else if (request.method !== 'GET' && request.method !== 'POST')
      response.writeHead(405, { Allow: 'GET, POST' }).end()
    else void run(request, response, url)
  })
  return {
    server,
    cancel: (which) => {
      for (const [call, way] of live) {
        if (which === 'all' || way === 'stream' || way === 'read') call.abort(cancelledError())
      }
    },
  }
}
