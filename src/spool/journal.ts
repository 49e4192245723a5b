import { mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import type { Mark, Receipt, RecordMeta } from './record.ts'
import { syncFolder } from './segment.ts'

const HOUR_MS = 3_600_000
/** How long the same request sent again gets the same answer. */
export const RECEIPT_HOURS = 24
/** Estimated at 300 bytes each, so some 300 MB at most; past it the oldest go early, which `evicted` counts. */
const MAX_RECEIPTS = 1_000_000

/**
 * What outlives the segments: receipts for a day, marks for ever. While a segment stands it holds them itself; before it
 * is deleted they are written here.
 */
export interface Journal {
  receipt: (key: string) => Receipt | undefined
  /** Resolves when the rows that came with the receipt can be queried. */
  stored: (key: string) => Promise<void>
  mark: (name: string) => number
  marks: () => Mark[]
  readonly receipts: number
  readonly evicted: number
  /** Makes them known to this process; the segment keeps them safe. */
  remember: (meta: RecordMeta, stored: Promise<void>) => void
  /** On disk when it resolves. */
  persist: (metas: readonly RecordMeta[]) => Promise<void>
  /** Forgets receipts that are too old, in memory and on disk. */
  prune: (now?: number) => Promise<void>
}

const parseLines = <T>(text: string): T[] =>
  text.split('\n').flatMap((line) => {
    // A torn last line belongs to a segment that still stands, which holds the same.
    try {
      return line ? [JSON.parse(line) as T] : []
    } catch {
      return []
    }
  })

const isReceipts = (name: string): boolean => /^receipts-\d+\.ndjson$/.test(name)
const hourOf = (name: string): number => Number(name.slice('receipts-'.length, -'.ndjson'.length))

export const createJournal = async (folder: string): Promise<Journal> => {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const receipts = new Map<string, Receipt>()
  const unsettled = new Map<string, Promise<void>>()
  const marks = new Map<string, number>()
  const marksPath = join(folder, 'marks.ndjson')
  let evicted = 0

  const rememberReceipt = (receipt: Receipt): void => {
    receipts.set(receipt.key, receipt)
    if (receipts.size > MAX_RECEIPTS) {
      receipts.delete(receipts.keys().next().value!)
      evicted++
    }
  }
  const rememberMark = ({ name, offset }: Mark): void => {
    marks.set(name, Math.max(offset, marks.get(name) ?? 0))
  }

  const prune = async (now = Date.now()): Promise<void> => {
    const oldest = now - RECEIPT_HOURS * HOUR_MS
    for (const receipt of receipts.values()) {
      if (receipt.at >= oldest) break
      receipts.delete(receipt.key)
    }
    for (const name of await readdir(folder)) {
      // A file holds what was persisted in its hour; all in it is older than that hour's end.
      if (isReceipts(name) && (hourOf(name) + 1) * HOUR_MS < oldest) await rm(join(folder, name))
    }
  }

  const append = async (path: string, lines: readonly object[]): Promise<void> => {
    if (lines.length === 0) return
    const file = await open(path, 'a', 0o600)
    try {
      const { size } = await file.stat()
      // The first newline closes a line that a crash may have torn.
      await file.write(`${size > 0 ? '\n' : ''}${lines.map((line) => JSON.stringify(line)).join('\n')}`)
      await file.datasync()
      if (size === 0) await syncFolder(folder)
    } finally {
      await file.close()
    }
  }

  const load = async (): Promise<void> => {
    for (const name of (await readdir(folder)).filter(isReceipts).toSorted()) {
      for (const receipt of parseLines<Receipt>(await readFile(join(folder, name), 'utf8'))) rememberReceipt(receipt)
    }
    const lines = parseLines<Mark>(await readFile(marksPath, 'utf8').catch(() => ''))
    for (const mark of lines) rememberMark(mark)
    // One line a mark is enough once the process has started again.
    if (lines.length > marks.size) {
      const compacted = `${marksPath}.new`
      await writeFile(compacted, [...marks].map(([name, offset]) => JSON.stringify({ name, offset })).join('\n'), {
        mode: 0o600,
        flush: true,
      })
      await rename(compacted, marksPath)
      await syncFolder(folder)
    }
  }

  await load()
  await prune()
  return {
    receipt: (key) => {
      const receipt = receipts.get(key)
      // Those of a replayed segment are older than their place in the order says, and pruned late.
      return receipt && receipt.at >= Date.now() - RECEIPT_HOURS * HOUR_MS ? receipt : undefined
    },
    stored: (key) => unsettled.get(key) ?? Promise.resolve(),
    mark: (name) => marks.get(name) ?? 0,
    marks: () => [...marks].map(([name, offset]) => ({ name, offset })),
    get receipts() {
      return receipts.size
    },
    get evicted() {
      return evicted
    },
    remember: ({ receipt, mark }, stored) => {
      if (receipt) {
        const { key } = receipt
        rememberReceipt(receipt)
        unsettled.set(key, stored)
        void stored.then(() => unsettled.delete(key))
      }
      if (mark) rememberMark(mark)
    },
    persist: async (metas) => {
      await append(
        join(folder, `receipts-${Math.floor(Date.now() / HOUR_MS)}.ndjson`),
        metas.flatMap((meta) => meta.receipt ?? []),
      )
      await append(
        marksPath,
        metas.flatMap((meta) => meta.mark ?? []),
      )
    },
    prune,
  }
}
