import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

import type { ClientAddress } from './client-address.ts'
import { field, nameField } from './json.ts'

/**
 * What is remembered of a connection. Its requests mostly come from the same client with the same headers, so their text
 * in the row is made once.
 */
export interface Connection {
  /** Whoever connected: an address, or `unix`; undefined: it was gone before anybody looked. */
  readonly peer: string | undefined
  readonly isTrusted: boolean
  /** Bytes of answers so far. */
  written: number
  /** The client; undefined: nobody knows, since the nearest proxy named none. */
  client: string | undefined
  /** As `Row.client`; undefined: no address is known at all, and a row without one is none. */
  fields: Uint8Array | undefined
  /** What the text was made of. */
  from: string | undefined
  host: string
  userAgent: string
  referer: string
  version: string
  method: string
}

const CONNECTION = Symbol('vedette.connection')

interface Known extends Socket {
  [CONNECTION]?: Connection
}

/** A server on a Unix socket has a path where others have addresses. */
const isUnix = (socket: Socket): boolean => !socket.destroyed && socket.localAddress === undefined

/** At the beginning of a request: later the address may be gone with the connection. */
export const connectionOf = (socket: Socket, addresses: ClientAddress): Connection => {
  const known = (socket as Known)[CONNECTION]
  if (known) return known
  const { remoteAddress } = socket
  const peer = remoteAddress === undefined && isUnix(socket) ? 'unix' : remoteAddress && addresses.read(remoteAddress)
  const connection: Connection = {
    peer,
    isTrusted: peer !== undefined && addresses.isTrusted(peer),
    written: 0,
    client: undefined,
    fields: undefined,
    from: undefined,
    host: '',
    userAgent: '',
    referer: '',
    version: '',
    method: '',
  }
  ;(socket as Known)[CONNECTION] = connection
  return connection
}

const textOf = (header: string | string[] | undefined): string =>
  typeof header === 'string' ? header : (header?.join(',') ?? '')

/**
 * Brings `client` and `fields` to what this request says.
 * @param given the address as a hook of the service says it
 */
export const identify = (
  connection: Connection,
  { headers, httpVersion: version, method = '' }: IncomingMessage,
  given: string | undefined,
  addresses: ClientAddress,
): void => {
  const { host = textOf(headers[':authority']), 'user-agent': userAgent = '', referer = '' } = headers
  const forwardedFor = connection.isTrusted ? textOf(headers['x-forwarded-for']) : ''
  const from = given ?? forwardedFor
  if (
    connection.from === from &&
    connection.userAgent === userAgent &&
    connection.host === host &&
    connection.referer === referer &&
    connection.version === version &&
    connection.method === method
  )
    return
  const peer = connection.peer === 'unix' ? undefined : connection.peer
  const own = given === undefined ? undefined : addresses.read(given)
  const client = given === undefined ? (from === '' ? peer : addresses.behind(from)) : own
  const logged = client ?? peer
  connection.client = client
  connection.from = from
  connection.host = host
  connection.userAgent = userAgent
  connection.referer = referer
  connection.version = version
  connection.method = method
  connection.fields =
    logged === undefined
      ? undefined
      : Uint8Array.from(
          Buffer.from(
            `,"ip":"${logged}","protocol":"HTTP/${version}"${nameField('host', host)}${field('userAgent', userAgent)}${field('referer', referer)}${field('method', method)},"path":"`,
            'latin1',
          ),
        )
}
