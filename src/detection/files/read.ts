import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { DetectorFile } from '../types.ts'
import { DetectorError, parseDetector } from './parse.ts'

/** The files of this version. */
export const DETECTORS = fileURLToPath(new URL('../../../clickhouse/detectors/', import.meta.url))

const unreadable = (path: string) => (error: unknown) => {
  throw new DetectorError(`${path} cannot be read (${(error as Error).message}); see DETECTORS_DIR`)
}

const readFolder = async (folder: string, own: boolean): Promise<DetectorFile[]> => {
  const names = await readdir(folder).catch(unreadable(folder))
  // Hidden ones are what editors leave behind.
  const files = names.filter((name) => name.endsWith('.sql') && !name.startsWith('.'))
  return Promise.all(
    files.map(async (name) => {
      const path = join(folder, name)
      return parseDetector(path, await readFile(path, 'utf8').catch(unreadable(path)), own)
    }),
  )
}

/**
 * All detectors, in the order of their ids; one of `ownFolder` takes the place of ours of the same id.
 * @throws {DetectorError}
 */
export const readDetectors = async (ownFolder?: string): Promise<Map<string, DetectorFile>> => {
  const files = [...(await readFolder(DETECTORS, false)), ...(ownFolder ? await readFolder(ownFolder, true) : [])]
  const byId = new Map(files.map((file) => [file.id, file]))
  return new Map([...byId].sort(([a], [b]) => (a < b ? -1 : 1)))
}
