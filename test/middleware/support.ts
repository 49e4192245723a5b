import { once } from 'node:events'
import {
  createServer,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestOptions,
  type RequestListener,
  type Server,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

import { onTestFinished } from 'vitest'

import { type ClickHouse, sql } from '../../src/clickhouse/index.ts'
import { createVedette, type Vedette, type VedetteOptions } from '../../src/middleware/index.ts'

/** A server of node:http on a free port, gone after the test. */
export const listen = async (server: Server, host = '127.0.0.1'): Promise<string> => {
  server.listen(0, host)
  await once(server, 'listening')
  onTestFinished(async () => {
    server.closeAllConnections()
    if (server.listening) await new Promise((resolve) => server.close(resolve))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

export const serve = (listener: RequestListener, host?: string): Promise<string> => listen(createServer(listener), host)

let services = 0
/** Names a service nobody else has, so that a test finds its own rows. */
export const freshService = (): string => `service-${process.pid}-${++services}`

/** A middleware that is closed after the test, and what it warned of. */
export const vedetteFor = <R = never>(options: VedetteOptions<R>): { vedette: Vedette; warned: string[] } => {
  const warned: string[] = []
  const vedette = createVedette<R>({ logger: { warn: (message) => warned.push(message) }, ...options })
  onTestFinished(() => vedette.close({ deadlineMs: 0 }))
  return { vedette, warned }
}

export interface Stored {
  timestamp: string
  ip: string
  service: string
  host: string
  method: string
  path: string
  route: string
  query: string
  protocol: string
  status_code: number
  duration_ms: number | null
  request_bytes: number | null
  response_bytes: number | null
  user_id: string
  user_agent: string
  referer: string
  trace_id: string
  action: string
  policy_id: string
  attributes: string
}

/** What ClickHouse has of a service, in the order of the requests. */
export const storedOf = async (clickhouse: ClickHouse, service: string): Promise<Stored[]> => {
  const { rows } = await clickhouse.query<Stored>(
    sql`SELECT * FROM request_logs WHERE service = ${service} ORDER BY timestamp, row`,
  )
  return rows
}

/** Rows and distinct paths: the same number where nothing was lost or doubled. */
export const countOf = async (clickhouse: ClickHouse, service: string): Promise<{ rows: number; paths: number }> => {
  const { rows } = await clickhouse.query<{ rows: number; paths: number }>(
    sql`SELECT count() AS rows, uniqExact(path) AS paths FROM request_logs WHERE service = ${service}`,
  )
  return rows[0]!
}

export interface Got {
  status: number
  headers: IncomingHttpHeaders
  body: string
}

/** One request by node:http, which sends exactly the headers it is given. */
export const get = async (url: string, options: RequestOptions & { body?: string } = {}): Promise<Got> => {
  const request = httpRequest(url, { agent: false, ...options })
  request.end(options.body)
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return { status: response.statusCode!, headers: response.headers, body: await text(response) }
}
