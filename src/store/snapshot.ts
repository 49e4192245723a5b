import { randomBytes } from 'node:crypto'
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

import { inSlices } from './slices.ts'
import type { Version } from './types.ts'

/** The newest versions of one kind on disk, for a start while ClickHouse is away. */
export interface Snapshot<T> {
  /** Undefined: there is none. @throws when it cannot be read */
  load: () => Promise<{ savedAt: Date; versions: Version<T>[] } | undefined>
  /** Many are read as they are written, a slice at a time. */
  save: (versions: Iterable<Version<T>>) => Promise<void>
}

interface File<T> {
  savedAt: string
  versions: (Omit<Version<T>, 'changedAt'> & { changedAt: string })[]
}

/** Written beside and renamed, so that there is always a whole one; for this user only. */
export const createSnapshot = <T>(path: string): Snapshot<T> => {
  const write = async (versions: Iterable<Version<T>>): Promise<void> => {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    const beside = `${path}.${randomBytes(4).toString('hex')}`
    const file = await open(beside, 'wx', 0o600)
    try {
      await file.writeFile(`{"savedAt":${JSON.stringify(new Date())},"versions":[`)
      let separator = '\n'
      for await (const some of inSlices(versions)) {
        await file.writeFile(separator + some.map((version) => JSON.stringify(version)).join(',\n'))
        separator = ',\n'
      }
      await file.writeFile(']}\n')
      await file.datasync()
    } finally {
      await file.close()
    }
    await rename(beside, path)
  }

  let last: Promise<void> = Promise.resolve()
  return {
    load: async () => {
      const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined
        throw error
      })
      if (text === undefined) return undefined
      const { savedAt, versions } = JSON.parse(text) as File<T>
      return {
        savedAt: new Date(savedAt),
        versions: versions.map((version) => ({ ...version, changedAt: new Date(version.changedAt) })),
      }
    },
    save: (versions) => {
      last = last.catch(() => {}).then(() => write(versions))
      return last
    },
  }
}
