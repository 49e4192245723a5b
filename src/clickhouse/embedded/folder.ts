import { mkdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { tryLock } from '../../lock.ts'

/** What `engine.json` tells commands beside a running service. */
export interface EngineAddress {
  /** `http://127.0.0.1:port` */
  address: string
  user: string
  password: string
  database: string
  /** Of the engine's process. */
  pid: number
  /** Of the process that started the engine and will stop it. */
  ownerPid: number
}

/** The data folder as the engine sees it: one engine a folder, whatever symlinks lead to it. */
export interface DataFolder {
  readonly path: string
  readonly enginePath: string
  readAddress: () => EngineAddress | undefined
  writeAddress: (address: EngineAddress) => void
  removeAddress: () => void
  /** Takes the folder for this process, or answers undefined where another one has it; the function gives it back. */
  lock: () => (() => void) | undefined
}

export const openFolder = (dataDir: string): DataFolder => {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const path = realpathSync(dataDir)
  const file = join(path, 'engine.json')
  return {
    path,
    enginePath: join(path, 'clickhouse'),
    readAddress: () => {
      try {
        return JSON.parse(readFileSync(file, 'utf8')) as EngineAddress
      } catch {
        return undefined
      }
    },
    writeAddress: (address) => {
      const next = `${file}.${process.pid}`
      writeFileSync(next, `${JSON.stringify(address, null, 2)}\n`, { mode: 0o600 })
      renameSync(next, file)
    },
    removeAddress: () => rmSync(file, { force: true }),
    lock: () => tryLock(join(path, 'engine.lock')),
  }
}
