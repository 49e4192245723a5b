import { crc32 } from 'node:zlib'

/**
 * A record is what one append brought: rows and what is remembered about them. On disk:
 * `"VDR1"` · CRC-32 of all that follows · meta length · rows length (each uint32, little endian) · meta (JSON) · rows.
 * The checksum covers the lengths too, so a torn or overwritten record is told from a whole one.
 */
const MAGIC = 0x31524456
export const HEADER_BYTES = 16

/** Remembered beside the rows, so that the same request sent again gets the same answer and stores nothing. */
export interface Receipt {
  /** Who asked, and by which key: unique per request. */
  key: string
  /** Hash of the body: another body under the same key is refused. */
  fingerprint: string
  answer: string
  /** Epoch in ms. */
  at: number
}

export interface RecordMeta {
  /** Identifies the record; its rows carry it. */
  batch: string
  rows: number
  /** Partitions the rows fall into, as the table counts them (days since 1970 for request logs). */
  partitions: number[]
  receipt?: Receipt
  /** How far a file has been read with this record: see marks.ts. */
  mark?: Mark
}

export interface Mark {
  /** What is being read, such as a service and the beginning of a log file. */
  name: string
  /** Bytes read, this record's included. */
  offset: number
}

export interface StoredRecord {
  meta: RecordMeta
  rows: Buffer
}

/** The buffers to write, in order. */
export const encodeRecord = (meta: RecordMeta, rows: readonly Buffer[]): Buffer[] => {
  const metaBytes = Buffer.from(JSON.stringify(meta))
  const header = Buffer.allocUnsafe(HEADER_BYTES)
  header.writeUInt32LE(MAGIC, 0)
  header.writeUInt32LE(metaBytes.length, 8)
  header.writeUInt32LE(
    rows.reduce((sum, part) => sum + part.length, 0),
    12,
  )
  let checksum = crc32(header.subarray(8))
  checksum = crc32(metaBytes, checksum)
  for (const part of rows) checksum = crc32(part, checksum)
  header.writeUInt32LE(checksum, 4)
  return [header, metaBytes, ...rows]
}

/**
 * Whole records from the beginning of a segment, and where the last of them ends.
 * What lies behind `end` is a torn tail: a crash came between its first and its last byte.
 */
export const decodeRecords = (segment: Buffer, verify: boolean): { records: StoredRecord[]; end: number } => {
  const records: StoredRecord[] = []
  let at = 0
  while (at + HEADER_BYTES <= segment.length && segment.readUInt32LE(at) === MAGIC) {
    const metaEnd = at + HEADER_BYTES + segment.readUInt32LE(at + 8)
    const end = metaEnd + segment.readUInt32LE(at + 12)
    if (end > segment.length) break
    if (verify && crc32(segment.subarray(at + 8, end)) !== segment.readUInt32LE(at + 4)) break
    records.push({
      meta: JSON.parse(segment.toString('utf8', at + HEADER_BYTES, metaEnd)) as RecordMeta,
      rows: segment.subarray(metaEnd, end),
    })
    at = end
  }
  return { records, end: at }
}
