import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'

import { isSegment, type SealedSegment, segmentPath, syncFolder } from './segment.ts'

/** A segment that ClickHouse refused while it took others, kept with the reason until someone replays it. */
export interface Quarantined {
  id: string
  path: string
  rows: number
  bytes: number
  reason: string
  /** RFC 3339. */
  at: string
}

export interface Quarantine {
  put: (segment: SealedSegment, reason: string) => Promise<void>
  /** What recovery cut off behind the last whole record of a segment. */
  putTail: (id: string, tail: Buffer) => Promise<void>
  /** What a segment held besides whole records: rows that the disk has lost. */
  putDamaged: (id: string, damaged: readonly Buffer[]) => Promise<void>
  list: () => Promise<Quarantined[]>
  /** Moves a segment's file into `folder` again and forgets the reason. */
  release: (id: string, folder: string) => Promise<void>
}

export const createQuarantine = async (folder: string): Promise<Quarantine> => {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const notePath = (id: string): string => join(folder, `${id}.json`)
  return {
    put: async (segment, reason) => {
      const path = segmentPath(folder, segment.id)
      const note: Quarantined = {
        id: segment.id,
        path,
        rows: segment.rows,
        bytes: segment.bytes,
        reason,
        at: new Date().toISOString(),
      }
      await writeFile(notePath(segment.id), JSON.stringify(note, undefined, 2), { flush: true, mode: 0o600 })
      await rename(segment.path, path)
      await syncFolder(folder)
    },
    putTail: async (id, tail) => {
      await writeFile(join(folder, `${id}.tail`), tail, { flush: true, mode: 0o600 })
    },
    putDamaged: async (id, damaged) => {
      await writeFile(join(folder, `${id}.damaged`), Buffer.concat(damaged), { flush: true, mode: 0o600 })
    },
    list: async () => {
      const names = (await readdir(folder)).filter(isSegment).toSorted()
      return await Promise.all(
        names.map(async (name) => {
          const id = basename(name, '.segment')
          const path = join(folder, name)
          try {
            return JSON.parse(await readFile(notePath(id), 'utf8')) as Quarantined
          } catch {
            const { size, mtime } = await stat(path)
            return { id, path, rows: 0, bytes: size, reason: 'unknown: its note is missing', at: mtime.toISOString() }
          }
        }),
      )
    },
    release: async (id, target) => {
      await rename(segmentPath(folder, id), segmentPath(target, id))
      await rm(notePath(id), { force: true })
      await syncFolder(target)
    },
  }
}

/** What is in quarantine below a spool's folder; also while a service works on it. */
export const quarantineOf = async (spoolFolder: string): Promise<(Quarantined & { table: string })[]> => {
  const names = await readdir(spoolFolder, { withFileTypes: true }).catch(() => [])
  const lists = await Promise.all(
    names.map(async (entry) => {
      const folder = join(spoolFolder, entry.name, 'quarantine')
      if (!entry.isDirectory() || !existsSync(folder)) return []
      return (await (await createQuarantine(folder)).list()).map((found) => Object.assign(found, { table: entry.name }))
    }),
  )
  return lists.flat()
}
