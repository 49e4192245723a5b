import { readFile, stat } from 'node:fs/promises'

import type { Logger } from 'pino'

import { ConfigError } from '../../config.ts'
import { type FilePolicy, parsePolicyFile } from './parse-file.ts'

export interface PolicyFileOptions {
  path: string
  log: Logger
  /** How often the file is looked at; a change is taken at the second look that sees it. */
  pollMs: number
  /** After another content came into force. */
  onChange: (before: readonly FilePolicy[]) => void
}

export interface PolicyFile {
  /** @throws {ConfigError} the file cannot be read or does not fit */
  start: () => Promise<void>
  stop: () => Promise<void>
  /** Of the last good content. */
  policies: () => readonly FilePolicy[]
  /** Whether what is on disk is in force. */
  isGood: () => boolean
}

const MOST_BYTES = 1_048_576

/** @throws {ConfigError} */
const signatureOf = async (path: string): Promise<string> => {
  try {
    const { ino, size, mtimeMs, ctimeMs } = await stat(path)
    return `${ino}:${size}:${mtimeMs}:${ctimeMs}`
  } catch (error) {
    throw unreadable(path, error)
  }
}

const unreadable = (path: string, error: unknown): ConfigError =>
  new ConfigError(`POLICY_FILE ${path} cannot be read: ${(error as Error).message}`, { cause: error })

/** @throws {ConfigError} */
const read = async (path: string): Promise<FilePolicy[]> => {
  const content = await readFile(path).catch((error: unknown) => {
    throw unreadable(path, error)
  })
  if (content.length > MOST_BYTES)
    throw new ConfigError(`POLICY_FILE ${path} has ${content.length} bytes; allowed are ${MOST_BYTES}`)
  return parsePolicyFile(content.toString(), `POLICY_FILE ${path}`)
}

/**
 * POLICY_FILE, followed while it changes. Looking at `stat` works on every file system and through symlinks and renames,
 * where watching does not. A change is taken when the file was the same at two looks and while it was read, since the
 * first half of a YAML file is often a good one with fewer policies.
 */
export const createPolicyFile = ({ path, log, pollMs, onChange }: PolicyFileOptions): PolicyFile => {
  let policies: readonly FilePolicy[] = []
  let good = false
  /** The file that was last taken or refused, so that it is not tried and told again at every look. */
  let tried = ''
  let seen = ''
  let timer: NodeJS.Timeout | undefined
  let looking: Promise<void> = Promise.resolve()
  let stopped = false

  const take = async (signature: string): Promise<void> => {
    const next = await read(path)
    if ((await signatureOf(path)) !== signature) return
    tried = signature
    const before = policies
    policies = next
    good = true
    log.info({ file: path, policies: next.length }, `POLICY_FILE ${path} is in force`)
    onChange(before)
  }

  const look = async (): Promise<void> => {
    let signature = 'unreadable'
    try {
      signature = await signatureOf(path)
      if (signature === tried) return
      if (signature !== seen) {
        seen = signature
        return
      }
      await take(signature)
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      if (signature === tried) return
      tried = signature
      seen = signature
      good = false
      log.error({ file: path }, `${error.message}; its last good policies stay in force`)
    }
  }

  const schedule = (): void => {
    if (stopped) return
    timer = setTimeout(() => {
      looking = look()
        .catch((error: unknown) => log.error({ err: error, file: path }, 'POLICY_FILE could not be looked at'))
        .then(schedule)
    }, pollMs)
    timer.unref()
  }

  return {
    start: async () => {
      const signature = await signatureOf(path)
      policies = await read(path)
      // Changed while it was read: then the next look takes it again.
      tried = signature
      good = true
      schedule()
    },
    stop: async () => {
      stopped = true
      clearTimeout(timer)
      await looking
    },
    policies: () => policies,
    isGood: () => good,
  }
}
