import { randomUUID } from 'node:crypto'
import { type FileHandle, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { type Decoded, decodeRecords, type RecordMeta } from './record.ts'

/** A segment that takes no more records: from now on its bytes and its token never change. */
export interface SealedSegment {
  /** Deduplication token of its insert, and its file's name. */
  id: string
  path: string
  bytes: number
  rows: number
  partitions: ReadonlySet<number>
  /** When its first record came, epoch in ms. */
  openedAt: number
  /** An insert of it may have gone through: in an earlier life of the process, or its answer got lost. */
  mayBeStored: boolean
}

/** A record as `encodeRecord` made it. */
export interface Encoded {
  meta: RecordMeta
  buffers: readonly Buffer[]
  bytes: number
}

export interface OpenSegment {
  readonly id: string
  readonly rows: number
  readonly bytes: number
  readonly openedAt: number
  readonly partitions: ReadonlySet<number>
  /** On disk when it resolves. When it rejects, nothing of these records remains in the segment. */
  append: (records: readonly Encoded[]) => Promise<void>
  seal: () => Promise<SealedSegment>
}

/** Makes the names in a folder survive a power cut. */
export const syncFolder = async (folder: string): Promise<void> => {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

const SUFFIX = '.segment'
export const isSegment = (name: string): boolean => name.endsWith(SUFFIX)
export const segmentPath = (folder: string, id: string): string => join(folder, id + SUFFIX)

export const openSegment = async (folder: string, now = Date.now()): Promise<OpenSegment> => {
  // Time first, so that names sort in the order of opening; the rest keeps tokens unique among processes for ever.
  const id = `${now.toString().padStart(14, '0')}-${randomUUID()}`
  const path = segmentPath(folder, id)
  const file: FileHandle = await open(path, 'wx', 0o600)
  try {
    await syncFolder(folder)
  } catch (error) {
    await file.close()
    throw error
  }
  const partitions = new Set<number>()
  let bytes = 0
  let rows = 0
  let torn = false
  return {
    id,
    partitions,
    openedAt: now,
    get rows() {
      return rows
    },
    get bytes() {
      return bytes
    },
    append: async (records) => {
      const buffers = records.flatMap((record) => record.buffers)
      const length = records.reduce((sum, record) => sum + record.bytes, 0)
      // Whole records of a refused group must not come to light behind the next ones.
      if (torn) await file.truncate(bytes)
      torn = true
      try {
        let { bytesWritten } = await file.writev(buffers, bytes)
        if (bytesWritten < length) {
          // A disk that fills up writes short; asking for the rest gives its ENOSPC.
          const whole = Buffer.concat(buffers)
          while (bytesWritten < length) {
            bytesWritten += (await file.write(whole, bytesWritten, length - bytesWritten, bytes + bytesWritten))
              .bytesWritten
          }
        }
        await file.datasync()
      } catch (error) {
        // Readers stop at `bytes` in any case; this is for a crash before the next record overwrites the torn one.
        try {
          await file.truncate(bytes)
          torn = false
          await file.datasync()
        } catch {
          // Tried again before the next record.
        }
        throw error
      }
      torn = false
      bytes += length
      for (const { meta } of records) {
        rows += meta.rows
        for (const partition of meta.partitions) partitions.add(partition)
      }
    },
    seal: async () => {
      await file.close()
      return { id, path, bytes, rows, partitions, openedAt: now, mayBeStored: false }
    },
  }
}

/**
 * Reads segments one after another into the same memory: fresh buffers of 8 MB each drive V8 into full collections. What it
 * hands out is valid until the next call.
 */
export const createSegmentReader = (): ((segment: SealedSegment) => Promise<Decoded>) => {
  let memory = Buffer.alloc(0)
  return async (segment) => {
    if (memory.length < segment.bytes) memory = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(segment.bytes)))
    const file = await open(segment.path, 'r')
    try {
      let length = 0
      while (length < segment.bytes) {
        const { bytesRead } = await file.read(memory, length, segment.bytes - length, length)
        if (bytesRead === 0) break
        length += bytesRead
      }
      return decodeRecords(memory.subarray(0, length))
    } finally {
      await file.close()
    }
  }
}

/** Takes up what a crash left. The torn tail behind the last whole record is cut off and handed back. */
export const recoverSegment = async (
  folder: string,
  name: string,
): Promise<{ segment: SealedSegment; metas: RecordMeta[]; tail: Buffer }> => {
  const path = join(folder, name)
  const content = await readFile(path)
  const { records, end } = decodeRecords(content)
  const metas = records.map((record) => record.meta)
  return {
    metas,
    tail: content.subarray(end),
    segment: {
      id: name.slice(0, -SUFFIX.length),
      path,
      bytes: end,
      rows: metas.reduce((sum, meta) => sum + meta.rows, 0),
      partitions: new Set(metas.flatMap((meta) => meta.partitions)),
      openedAt: Number(name.slice(0, 14)) || Date.now(),
      mayBeStored: true,
    },
  }
}
