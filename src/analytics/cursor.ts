import { crc32 } from 'node:zlib'

import { ipBytes, ipFromBytes } from './address.ts'

export const LOG_ORDERS = ['TIMESTAMP_ASC', 'TIMESTAMP_DESC', 'DURATION_DESC'] as const
export type LogOrder = (typeof LOG_ORDERS)[number]

/** Where a row lies: the sort key's columns first, so that a lookup by it reads one granule; (batch, row) make it unique. */
export interface Position {
  /** Milliseconds since 1970. */
  timestamp: number
  /** Stored form. */
  ip: string
  batch: bigint
  row: number
}

export interface Cursor extends Position {
  order: LogOrder
  /** Of DURATION_DESC: milliseconds, -1 where absent. */
  duration: number
}

const VERSION = 1
const POSITION_BYTES = 36
const CHECK_BYTES = 4

const seal = (bytes: Buffer): string => {
  const check = Buffer.alloc(CHECK_BYTES)
  check.writeUInt32BE(crc32(bytes))
  return Buffer.concat([bytes, check]).toString('base64url')
}

/** The bytes, where the text is what `seal` made of so many: a slip of hand or a cut copy is told, not guessed at. */
const unseal = (text: string, length: number): Buffer | undefined => {
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.length !== length + CHECK_BYTES || bytes.toString('base64url') !== text) return undefined
  const body = bytes.subarray(0, length)
  return bytes.readUInt32BE(length) === crc32(body) ? body : undefined
}

const positionBytes = ({ timestamp, ip, batch, row }: Position): Buffer => {
  const bytes = Buffer.alloc(POSITION_BYTES)
  bytes.writeBigInt64BE(BigInt(timestamp), 0)
  ipBytes(ip).copy(bytes, 8)
  bytes.writeBigUInt64BE(batch, 24)
  bytes.writeUInt32BE(row, 32)
  return bytes
}

const positionOf = (bytes: Buffer): Position => ({
  timestamp: Number(bytes.readBigInt64BE(0)),
  ip: ipFromBytes(bytes.subarray(8, 24)),
  batch: bytes.readBigUInt64BE(24),
  row: bytes.readUInt32BE(32),
})

export const encodeCursor = (cursor: Cursor): string => {
  const rest = Buffer.alloc(4)
  rest.writeFloatBE(cursor.duration)
  return seal(Buffer.concat([Buffer.from([VERSION, LOG_ORDERS.indexOf(cursor.order)]), positionBytes(cursor), rest]))
}

/** Undefined where it is not one that `encodeCursor` made. */
export const decodeCursor = (text: string): Cursor | undefined => {
  const bytes = unseal(text, 2 + POSITION_BYTES + 4)
  const order = bytes && LOG_ORDERS[bytes[1]!]
  if (!bytes || bytes[0] !== VERSION || !order) return undefined
  return { order, ...positionOf(bytes.subarray(2)), duration: bytes.readFloatBE(2 + POSITION_BYTES) }
}

/** The id of a raw row, the same in every answer. */
export const encodeLogId = (position: Position): string =>
  seal(Buffer.concat([Buffer.from([VERSION]), positionBytes(position)]))

export const decodeLogId = (text: string): Position | undefined => {
  const bytes = unseal(text, 1 + POSITION_BYTES)
  return bytes?.[0] === VERSION ? positionOf(bytes.subarray(1)) : undefined
}
