import type { IncomingMessage, ServerResponse } from 'node:http'

import type { ClientAddress } from './client-address.ts'
import { type Connection, connectionOf, identify } from './connection.ts'
import type { Hooks } from './hooks.ts'
import { field, nameField } from './json.ts'
import type { Row, Rows } from './rows.ts'
import type { Warnings } from './warnings.ts'

/** nginx's word for a client that left before it was answered. */
const CLIENT_LEFT = 499

/** A request from its beginning until it was answered; then it is the row that waits to be written. */
export interface Exchange<R> extends Row {
  connection: Connection
  /** Undefined once it was answered, so that no row holds a body. */
  request: IncomingMessage | undefined
  /** The same as the service's hooks know it. */
  source: R | undefined
  /** Empty: not asked yet, or nobody. */
  userId: string
}

const NO_ADDRESS =
  "nobody knows the client's address; behind a Unix socket, put unix into trustedProxies or give clientAddress"

const TOO_LONG = 'the row is longer than 1 MiB; see the hook attributes'
/** Not looked at yet, or nobody knows. */
const NO_CLIENT = new Uint8Array(0)

const EXCHANGE = Symbol('vedette.exchange')

interface Watched<R> extends ServerResponse {
  [EXCHANGE]?: Exchange<R>
}

/** What Express adds to a request. */
interface ExpressRequest extends IncomingMessage {
  originalUrl?: string
  baseUrl?: string
  route?: { path?: unknown }
}

const expressRoute = ({ route, baseUrl }: ExpressRequest): string => {
  if (route === undefined || route === null) return ''
  const { path } = route
  if (typeof path === 'string') return (baseUrl ?? '') + path
  return path instanceof RegExp ? (baseUrl ?? '') + path.source : ''
}

/** Of the answer's head. `_header` is undocumented, but what morgan and others have built on for a decade. */
const headBytes = (response: ServerResponse): number => {
  const { _header: head } = response as ServerResponse & { _header?: string | null }
  return typeof head === 'string' ? head.length : 0
}

/** Whether the answer went out to its end. HTTP/2's has no `writableFinished`. */
const isWhole = (response: { writableFinished?: boolean; writableEnded: boolean }): boolean =>
  response.writableFinished ?? response.writableEnded

const DIGITS = /^\d{1,15}$/
const TRACEPARENT = /^[\da-f]{2}-([\da-f]{32})-[\da-f]{16}-[\da-f]{2}/

/** Of the header `traceparent` (W3C Trace Context); empty: it is none. */
const traceIdOf = (traceparent: string): string => TRACEPARENT.exec(traceparent)?.[1] ?? ''

/** Watches requests and makes a row of each when it was answered, or when its client left. */
export const createExchanges = <R>({
  hooks,
  addresses,
  rows,
  hasRoom,
  warnings,
}: {
  hooks: Hooks<R>
  addresses: ClientAddress
  rows: Pick<Rows, 'add'>
  /** Where there is none, the row is counted as dropped. */
  hasRoom: () => boolean
  warnings: Warnings
}) => {
  /** Brings connection and exchange to this request. */
  const know = (exchange: Exchange<R>): void => {
    const { connection, request, source } = exchange
    identify(connection, request!, hooks.clientAddress(source!), addresses)
    exchange.client = connection.fields ?? NO_CLIENT
  }

  /** Of the answer's body as sent, with its chunks' frames; -1: not known, as on HTTP/2, where answers share a connection. */
  const sizeOf = ({ connection, request }: Exchange<R>, response: ServerResponse): number => {
    const { socket, httpVersionMajor } = request!
    if (httpVersionMajor !== 1) return -1
    const { bytesWritten } = socket as { bytesWritten: number | undefined }
    if (bytesWritten === undefined) return -1
    const size = bytesWritten - connection.written - headBytes(response)
    connection.written = bytesWritten
    return size > 0 ? size : 0
  }

  const restOf = (exchange: Exchange<R>, isCut: boolean): string => {
    // What was decided.
    let { rest } = exchange
    const { 'content-length': length, traceparent } = exchange.request!.headers
    if (length !== undefined && DIGITS.test(length)) rest += `,"requestBytes":${Number(length)}`
    if (typeof traceparent === 'string') rest += field('traceId', traceIdOf(traceparent))
    const userId = exchange.userId === '' ? hooks.user(exchange.source!) : exchange.userId
    if (userId !== '') rest += nameField('userId', userId)
    return rest + hooks.attributes(exchange.source!, isCut)
  }

  const note = (exchange: Exchange<R>, response: ServerResponse): void => {
    exchange.durationMs = performance.now() - exchange.start
    exchange.size = sizeOf(exchange, response)
    if (!hasRoom()) return
    if (exchange.client === NO_CLIENT) know(exchange)
    if (exchange.client === NO_CLIENT) {
      warnings.drop(1, NO_ADDRESS)
      return
    }
    const answered = response.headersSent
    if (answered) exchange.status = response.statusCode
    exchange.route = hooks.route(exchange.source!) || exchange.route || expressRoute(exchange.request!)
    exchange.rest = restOf(exchange, answered && !isWhole(response))
    exchange.request = undefined
    exchange.source = undefined
    if (!rows.add(exchange)) warnings.drop(1, TOO_LONG)
  }

  function closed(this: ServerResponse): void {
    try {
      note((this as Watched<R>)[EXCHANGE]!, this)
    } catch (error) {
      warnings.fault('a request could not be logged', error)
      warnings.drop(1, 'a fault while the request was logged')
    }
  }

  return {
    /** Undefined: it is watched already, or to be left alone. */
    begin: (request: IncomingMessage, response: ServerResponse, source: R, route: string): Exchange<R> | undefined => {
      const watched = response as Watched<R>
      try {
        if (watched[EXCHANGE] !== undefined || hooks.skip(source)) return undefined
        const exchange: Exchange<R> = {
          start: performance.now(),
          durationMs: 0,
          status: CLIENT_LEFT,
          size: -1,
          client: NO_CLIENT,
          path: (request as ExpressRequest).originalUrl ?? request.url!,
          route,
          rest: '',
          connection: connectionOf(request.socket, addresses),
          request,
          source,
          userId: '',
        }
        watched[EXCHANGE] = exchange
        // It comes after `finish` as well as when the connection is gone, so one listener tells all.
        response.on('close', closed)
        return exchange
      } catch (error) {
        warnings.fault('a request could not be watched', error)
        return undefined
      }
    },
    /** Before the answer, for a decision. @returns the client's address; undefined: nobody knows */
    identify: (exchange: Exchange<R>): string | undefined => {
      know(exchange)
      exchange.userId = hooks.user(exchange.source!)
      return exchange.connection.client
    },
  }
}

export type Exchanges<R> = ReturnType<typeof createExchanges<R>>
