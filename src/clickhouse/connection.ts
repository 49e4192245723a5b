import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { text as textOf } from 'node:stream/consumers'

import { ClickHouseLogLevel, type ClickHouseClient as Client, createClient } from '@clickhouse/client'

import type { Deadline } from './deadline.ts'
import { isBrokenConnection, parseAnswer } from './errors.ts'
import type { Request } from './request.ts'

export interface Address {
  /** Scheme, host and port only. */
  url: string
  username: string
  password: string
  database: string
}

/** `http(s)://user:pass@host:8123/database`, taken apart. */
export const addressOf = (given: string): Address => {
  const url = new URL(given)
  return {
    url: url.origin,
    username: decodeURIComponent(url.username) || 'default',
    password: decodeURIComponent(url.password),
    database: decodeURIComponent(url.pathname.slice(1)) || 'default',
  }
}

export interface Response {
  stream: Readable
  writtenRows: number
}

export interface Connection {
  /**
   * Resolves when the headers say that it went well.
   * @throws {ClickHouseError} what ClickHouse says, or the network's own error
   */
  send: (request: Request, deadline: Deadline) => Promise<Response>
  /** As `send`, for what may run twice: tries once more where a kept-alive socket broke that the other side was just closing. */
  sendTwice: (request: Request, deadline: Deadline) => Promise<Response>
  /** By the HTTP interface's own `/ping`, or by a statement, which checks the password too. */
  ping: (way: 'path' | 'statement', deadline: Deadline) => Promise<void>
  close: () => Promise<void>
}

const createPool = (address: Address, sockets: number): Client =>
  createClient({
    ...address,
    application: 'vedette',
    max_open_connections: sockets,
    // Every call has a deadline of its own; this one only must not come before it.
    request_timeout: 2 ** 31 - 1,
    // Servers close idle connections after 3 s or more; a socket over its time is dropped rather than tried.
    keep_alive: { enabled: true, idle_socket_ttl: 2000, eagerly_destroy_stale_sockets: true },
    log: { level: ClickHouseLogLevel.OFF },
  })

export const connect = (address: Address, sockets: number): Connection => {
  const client = createPool(address, sockets)

  const send: Connection['send'] = async ({ text, parameters, queryId, settings, rows }, deadline) => {
    // The client's own look at the signal begins with its next event.
    deadline.signal.throwIfAborted()
    const { stream, summary, response_headers, http_status_code } = await client.exec({
      query: text,
      query_params: parameters,
      query_id: queryId,
      clickhouse_settings: settings,
      abort_signal: deadline.signal,
      // Read here: the client's own parser cuts a message at the first capitals in brackets, such as CODEC(ZSTD).
      ignore_error_response: true,
      ...(rows && { values: Buffer.isBuffer(rows) ? Readable.from([rows], { objectMode: false }) : rows }),
    })
    deadline.tie(stream)
    if (http_status_code !== 200 || response_headers['x-clickhouse-exception-code'] !== undefined) {
      throw parseAnswer(await textOf(stream))
    }
    return { stream, writtenRows: Number(summary?.written_rows ?? 0) }
  }

  const sendTwice: Connection['sendTwice'] = async (request, deadline) => {
    try {
      return await send(request, deadline)
    } catch (error) {
      if (!isBrokenConnection(error) || deadline.signal.aborted) throw error
      return send(request, deadline)
    }
  }

  return {
    send,
    sendTwice,
    ping: async (way, deadline) => {
      if (way === 'statement') {
        const request = { text: 'SELECT 1', parameters: {}, queryId: randomUUID(), settings: {} }
        await textOf((await sendTwice(request, deadline)).stream)
        return
      }
      deadline.signal.throwIfAborted()
      const result = await client.ping({ select: false, abort_signal: deadline.signal })
      if (!result.success) throw result.error
    },
    close: () => client.close(),
  }
}
