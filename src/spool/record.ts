import { crc32 } from 'node:zlib'

/**
 * A record is what one append brought: rows and what is remembered about them. On disk:
 * `"VDR1"` · CRC-32 of all that follows · meta length · rows length (each uint32, little endian) · meta (JSON) · rows.
 * The checksum covers the lengths too, so a torn or overwritten record is told from a whole one.
 */
const MAGIC = 0x31524456
const MAGIC_BYTES = Buffer.from('VDR1')
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

export interface Decoded {
  records: StoredRecord[]
  /** Where the last whole record ends; what lies behind it is a torn tail: a crash came between its first and its last byte. */
  end: number
  /** What stands between whole records and is none: the disk gave it back otherwise than it was written. */
  damaged: Buffer[]
}

const recordAt = (segment: Buffer, at: number): (StoredRecord & { end: number }) | undefined => {
  if (at + HEADER_BYTES > segment.length || segment.readUInt32LE(at) !== MAGIC) return undefined
  const metaEnd = at + HEADER_BYTES + segment.readUInt32LE(at + 8)
  const end = metaEnd + segment.readUInt32LE(at + 12)
  if (end > segment.length || crc32(segment.subarray(at + 8, end)) !== segment.readUInt32LE(at + 4)) return undefined
  const meta = JSON.parse(segment.toString('utf8', at + HEADER_BYTES, metaEnd)) as RecordMeta
  return { meta, rows: segment.subarray(metaEnd, end), end }
}

/** The whole records of a segment. One that is damaged does not take those behind it along. */
export const decodeRecords = (segment: Buffer): Decoded => {
  const records: StoredRecord[] = []
  const damaged: Buffer[] = []
  let end = 0
  for (let at = 0; at >= 0 && at < segment.length;) {
    const record = recordAt(segment, at)
    if (!record) {
      // Rows are JSON, which escapes the zero bytes of a header, so nothing that a client sent looks like a record.
      at = segment.indexOf(MAGIC_BYTES, at + 1)
      continue
    }
    if (at > end) damaged.push(segment.subarray(end, at))
    records.push({ meta: record.meta, rows: record.rows })
    at = end = record.end
  }
  return { records, end, damaged }
}
