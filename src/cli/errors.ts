import { CommanderError } from 'commander'

import { ClickHouseError } from '../clickhouse/index.ts'
import { ConfigError } from '../config.ts'
import { StoreError } from '../store/index.ts'

/** A command that cannot do what it was asked. The message is one line and ends with the way out. */
export class CliError extends Error {
  override name = 'CliError'
  /** 1: failed, 2: misused. */
  readonly exitCode: 1 | 2

  constructor(message: string, exitCode: 1 | 2 = 1, cause?: unknown) {
    super(message, { cause })
    this.exitCode = exitCode
  }
}

/** What the system says of a file or folder, in words. */
const WORDS: Record<string, string> = {
  EACCES: 'this user may not write or read it',
  EPERM: 'this user may not write or read it',
  EROFS: 'it cannot be written to',
  EISDIR: 'it is a folder',
  ENOENT: 'there is no such file or folder',
  ENOTDIR: 'a part of it is a file',
  ENOSPC: 'the disk is full',
}

const oneLine = (text: string): string => text.trim().replaceAll(/\s*\n\s*/g, ' ')

/**
 * What to print for an error, and with which code to exit: 1 failed, 2 misused.
 * @param usage the command whose `--help` helps, such as `vedette keys create`
 */
export const explain = (error: unknown, usage: string): { line: string | undefined; exitCode: number } => {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return { line: undefined, exitCode: 0 }
    // Called without a command, it has printed its help, which is all there is to say.
    if (error.code === 'commander.help') return { line: undefined, exitCode: 2 }
    return { line: `${oneLine(error.message).replaceAll(/^error: |\.$/g, '')}; see ${usage} --help`, exitCode: 2 }
  }
  const { code, path } = error as NodeJS.ErrnoException
  if (error instanceof Error && code !== undefined && path !== undefined && WORDS[code])
    return { line: `${path}: ${WORDS[code]}; see to it, or name another`, exitCode: 1 }
  const message = oneLine(error instanceof Error ? error.message || error.name : String(error))
  if (error instanceof CliError) return { line: message, exitCode: error.exitCode }
  if (error instanceof ConfigError) return { line: message, exitCode: 2 }
  if (error instanceof StoreError && error.code === 'INVALID') return { line: message, exitCode: 2 }
  if ((error instanceof ClickHouseError || error instanceof StoreError) && /does not answer|no answer/.test(message))
    return { line: `${message}; vedette doctor looks at each part`, exitCode: 1 }
  return { line: message, exitCode: 1 }
}
