import { encodeRecord, type RecordMeta } from './record.ts'
import { type Encoded, type OpenSegment, openSegment, type SealedSegment } from './segment.ts'
import { type Space, SpoolFullError } from './space.ts'

/** An insert costs the engine 5–7 ms before its first row, so it should carry thousands. */
const SEAL_AT_ROWS = 20_000
const SEAL_AT_BYTES = 16 * 2 ** 20
/** Where somebody waits for his rows: still few enough inserts, and all who wait share one. */
const HURRY_MS = 30
/** ClickHouse refuses an insert that touches more than 100 partitions unless it is told otherwise. */
export const MAX_PARTITIONS = 100

interface Pending extends Encoded {
  written: PromiseWithResolvers<OpenSegment>
}

export interface Writer {
  /** Resolves when the record is on disk, with the segment that holds it. @throws {SpoolFullError} */
  append: (meta: RecordMeta, rows: readonly Buffer[]) => Promise<OpenSegment>
  /** When the first record of the open segment came, epoch in ms. */
  readonly oldest: number | undefined
  /** Somebody waits for what is open to be stored: do not wait for more. */
  hurry: () => void
  /** Seals what is open and stops taking records. */
  close: () => Promise<void>
}

/**
 * Group commit: whatever arrives while the disk works on one group becomes the next one, so that one fdatasync serves
 * as many requests as wait for it.
 */
export const createWriter = ({
  folder,
  space,
  sealAfterMs,
  onSealed,
  backlog,
}: {
  folder: string
  space: Space
  sealAfterMs: number
  onSealed: (segment: SealedSegment) => void
  /** Segments that wait for their turn: while there are some, growing the open one beats making another. */
  backlog: () => number
}): Writer => {
  let queue: Pending[] = []
  let open: OpenSegment | undefined
  let running: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false

  const seal = async (): Promise<void> => {
    clearTimeout(timer)
    timer = undefined
    const sealing = open
    open = undefined
    if (sealing) onSealed(await sealing.seal())
  }

  const fits = (segment: OpenSegment, pending: Pending): boolean =>
    segment.rows === 0 ||
    (segment.rows + pending.meta.rows <= SEAL_AT_ROWS &&
      segment.bytes + pending.bytes <= SEAL_AT_BYTES &&
      new Set([...segment.partitions, ...pending.meta.partitions]).size <= MAX_PARTITIONS)

  /** Takes from the queue what fits the segment and the room there is, at least one record. */
  const takeGroup = (segment: OpenSegment, room: number): Pending[] => {
    const group: Pending[] = []
    const most = Math.min(SEAL_AT_BYTES, segment.bytes + room)
    const partitions = new Set(segment.partitions)
    let { rows, bytes } = segment
    for (const pending of queue) {
      for (const partition of pending.meta.partitions) partitions.add(partition)
      rows += pending.meta.rows
      bytes += pending.bytes
      if (group.length > 0 && (rows > SEAL_AT_ROWS || bytes > most || partitions.size > MAX_PARTITIONS)) break
      group.push(pending)
    }
    queue = queue.slice(group.length)
    return group
  }

  const commit = async (): Promise<void> => {
    while (queue.length > 0) {
      if (open && !fits(open, queue[0]!)) await seal()
      let group: Pending[] = []
      try {
        const room = await space.require(queue[0]!.bytes)
        open ??= await openSegment(folder)
        group = takeGroup(open, room)
        const before = open.bytes
        await open.append(group)
        space.add(open.bytes - before)
      } catch (error) {
        // A full disk hits everyone who waits; nobody's record is half-way in.
        const refused = group.length > 0 ? group : queue.splice(0)
        const noRoom = ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '')
        const reason = noRoom ? new SpoolFullError('the disk is full') : error
        for (const pending of refused) pending.written.reject(reason)
        continue
      }
      const { rows, bytes } = open
      for (const pending of group) pending.written.resolve(open)
      if (rows >= SEAL_AT_ROWS || bytes >= SEAL_AT_BYTES) await seal()
      else startTimer()
    }
  }

  const startTimer = (ms = sealAfterMs): void => {
    timer ??= setTimeout(() => {
      timer = undefined
      if (backlog() > 0) startTimer()
      else void run(seal)
    }, ms)
  }

  /** One at a time: sealing and committing share the open segment. */
  const run = (work: () => Promise<void>): Promise<void> => {
    const next = (running ?? Promise.resolve()).then(work).finally(() => {
      if (running === next) running = undefined
    })
    running = next
    return next
  }

  return {
    append: (meta, rows) => {
      if (closed) return Promise.reject(new SpoolFullError('the service is stopping'))
      const buffers = encodeRecord(meta, rows)
      const pending: Pending = {
        meta,
        buffers,
        bytes: buffers.reduce((sum, part) => sum + part.length, 0),
        written: Promise.withResolvers(),
      }
      queue.push(pending)
      if (queue.length === 1) void run(commit)
      return pending.written.promise
    },
    get oldest() {
      return open && open.rows > 0 ? open.openedAt : undefined
    },
    hurry: () => {
      if (sealAfterMs <= HURRY_MS || backlog() > 0) return
      clearTimeout(timer)
      timer = undefined
      startTimer(HURRY_MS)
    },
    close: async () => {
      closed = true
      await run(commit)
      await run(seal)
    },
  }
}
