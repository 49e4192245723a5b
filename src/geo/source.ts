import { readFile, stat } from 'node:fs/promises'

import type { Database } from './database.ts'

/** One file as an operator sees it in `doctor` and in the log. */
export interface SourceState {
  kind: 'city' | 'asn'
  path: string
  /** `missing` and `broken` speak of the file on disk; what was loaded before may still be serving. */
  status: 'loaded' | 'missing' | 'broken'
  /** Whether its data (this file's, or the last good ones of this path) answer look-ups. */
  serving: boolean
  /** What is wrong and what happens instead; empty: nothing. */
  problem: string
  /** Of the data that are serving; empty or null where none are. */
  type: string
  buildDate: Date | null
  attribution: string
  bytes: number
  /** It came with the packages and was not configured. */
  bundled: boolean
}

export interface GeoLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

export interface SourceOptions<Answer> {
  kind: 'city' | 'asn'
  path: string
  bundled: boolean
  open: (buffer: Buffer) => Database<Answer>
  log: GeoLog
}

export interface Source<Answer> {
  /** Last good data of this path. */
  database(): Database<Answer> | undefined
  state(): SourceState
  /** Reads the file whatever its age. Resolves to true where other data than before now serve. */
  load(): Promise<boolean>
  /** As `load`, if the file is another one than at the last look and has been still since then. */
  poll(): Promise<boolean>
}

const MISSING = 'missing'

const signatureOf = async (path: string): Promise<string> => {
  try {
    const { ino, size, mtimeMs, ctimeMs } = await stat(path)
    return `${ino}:${size}:${mtimeMs}:${ctimeMs}`
  } catch {
    return MISSING
  }
}

/**
 * One .mmdb file that is followed while it changes. Looking at `stat` works on every file system and through symlinks
 * and renames, where watching does not; a file is taken only when it was the same at two looks and while it was read,
 * and is checked before it replaces the good one.
 */
export const createSource = <Answer>({ kind, path, bundled, open, log }: SourceOptions<Answer>): Source<Answer> => {
  let database: Database<Answer> | undefined
  let status: SourceState['status'] = 'missing'
  let problem = 'not read yet'
  /** The file that was last taken or refused, so that it is not tried and told again at every look. */
  let tried = ''
  let seen = ''

  const refuse = (state: 'missing' | 'broken', reason: string): void => {
    status = state
    const instead = database ? 'its last good data stay in use' : 'it is left out'
    problem = `${reason}; ${instead}`
    log.warn({ file: path, kind }, `geo database ${path}: ${problem}`)
  }

  const take = async (signature: string): Promise<boolean> => {
    tried = signature
    seen = signature
    if (signature === MISSING) {
      refuse('missing', 'there is no such file')
      return false
    }
    let buffer: Buffer
    try {
      buffer = await readFile(path)
    } catch (error) {
      refuse('broken', `it cannot be read (${(error as Error).message})`)
      return false
    }
    const after = await signatureOf(path)
    if (after !== signature) {
      // Someone is writing it. The next look sees whether they have done.
      tried = ''
      seen = after
      refuse('broken', 'it changed while it was read')
      return false
    }
    try {
      database = open(buffer)
    } catch (error) {
      refuse('broken', (error as Error).message)
      return false
    }
    status = 'loaded'
    problem = ''
    log.info({ file: path, kind, type: database.type, buildDate: database.buildDate }, `geo database ${path} loaded`)
    return true
  }

  return {
    database: () => database,
    state: () => ({
      kind,
      path,
      status,
      serving: database !== undefined,
      problem,
      type: database?.type ?? '',
      buildDate: database?.buildDate ?? null,
      attribution: database?.attribution ?? '',
      bytes: database?.bytes ?? 0,
      bundled,
    }),
    load: async () => take(await signatureOf(path)),
    poll: async () => {
      const signature = await signatureOf(path)
      if (signature === tried) return false
      if (signature !== seen) {
        seen = signature
        return false
      }
      return take(signature)
    },
  }
}
