import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'

import type { Logger } from 'pino'

import { isList, ListError, parseList } from './parse-list.ts'
import type { GivenList } from './types.ts'

export type FileList = GivenList & {
  file: string
  /** YYYY-MM-DD */
  written: string
}

export interface ListFolder {
  /** Looks at the folder. @returns whether other lists than before are in force */
  look: () => Promise<boolean>
  /** By the name of the file. */
  lists: () => FileList[]
}

const MOST_BYTES = 16 * 1_048_576

/** CRAWLER_RANGES_DIR. Of a file that is broken the last good content stays in force; of one that is gone nothing does. */
export const createListFolder = (dir: string, log: Logger): ListFolder => {
  const files = new Map<string, { signature: string; list: FileList | undefined }>()
  let problem = ''

  const read = async (name: string, mtimeMs: number, size: number): Promise<FileList> => {
    if (size > MOST_BYTES) throw new ListError(`it has ${size} bytes; allowed are ${MOST_BYTES}`)
    const path = join(dir, name)
    const list = parseList(name, await readFile(path, 'utf8'))
    return { ...list, file: path, written: new Date(mtimeMs).toISOString().slice(0, 10) }
  }

  return {
    look: async () => {
      let names: string[]
      try {
        names = (await readdir(dir)).filter(isList)
        problem = ''
      } catch (error) {
        const reason = (error as Error).message
        if (reason !== problem)
          log.warn({ dir }, `CRAWLER_RANGES_DIR cannot be read (${reason}); what was read before stays in force`)
        problem = reason
        return false
      }
      let changed = false
      for (const name of files.keys()) if (!names.includes(name)) changed = files.delete(name) || changed
      for (const name of names) {
        const last = files.get(name)
        let signature = ''
        try {
          const { ino, size, mtimeMs, ctimeMs } = await stat(join(dir, name))
          signature = `${ino}:${size}:${mtimeMs}:${ctimeMs}`
          if (signature === last?.signature) continue
          files.set(name, { signature, list: await read(name, mtimeMs, size) })
          changed = true
        } catch (error) {
          // Told once for each content; a half-written file is another one at the next look.
          if (signature === last?.signature) continue
          files.set(name, { signature, list: last?.list })
          const instead = last?.list ? 'its last good list stays in force' : 'it is left out'
          log.warn({ file: join(dir, name) }, `list of crawlers ${name}: ${(error as Error).message}; ${instead}`)
        }
      }
      return changed
    },
    lists: () => [...files].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, { list }]) => list ?? []),
  }
}
