import { setTimeout as sleep } from 'node:timers/promises'

import type { Logger } from 'pino'

import { type DataFolder, type EngineAddress, openFolder } from './folder.ts'
import { type EngineProcess, FolderBusyError, startEngine } from './process.ts'

export type { EngineAddress } from './folder.ts'

const DATABASE = 'vedette'
/** How long to wait for another owner to go. */
const WAIT_MS = 10_000
const LOOK_EVERY_MS = 100

export interface EmbeddedEngine extends EngineAddress {
  /** Whether this process started the engine, rather than found one that runs. */
  readonly owned: boolean
  /** Stops the engine if this process started it. */
  stop: () => Promise<void>
}

const answers = async (address: EngineAddress): Promise<boolean> => {
  try {
    const response = await fetch(`${address.address}/?query=SELECT+1`, {
      headers: { 'X-ClickHouse-User': address.user, 'X-ClickHouse-Key': address.password },
      signal: AbortSignal.timeout(2000),
    })
    await response.arrayBuffer()
    return response.ok
  } catch {
    return false
  }
}

const addressOf = (engine: EngineProcess): EngineAddress => ({
  address: `http://127.0.0.1:${engine.port}`,
  user: engine.user,
  password: engine.password,
  database: DATABASE,
  pid: engine.pid,
  ownerPid: process.pid,
})

const own = async (folder: DataFolder, unlock: () => void, log: Logger): Promise<EmbeddedEngine> => {
  try {
    const engine = await startEngine({
      folder: folder.enginePath,
      database: DATABASE,
      log,
      onReady: (ready) => folder.writeAddress(addressOf(ready)),
    })
    return {
      ...addressOf(engine),
      owned: true,
      stop: async () => {
        folder.removeAddress()
        await engine.stop()
        unlock()
      },
    }
  } catch (error) {
    unlock()
    throw error
  }
}

const heldError = (folder: DataFolder, role: 'owner' | 'attach'): Error => {
  const address = folder.readAddress()
  const holder = address ? `process ${address.ownerPid}` : 'another process'
  return new Error(
    role === 'owner'
      ? `The data folder ${folder.path} is in use by ${holder}; stop that one first, or set DATA_DIR to another folder`
      : `The data folder ${folder.path} is in use by ${holder}, whose ClickHouse engine does not answer; wait until it has started, or restart it`,
  )
}

/**
 * The engine of a data folder. As `owner` this process starts it, and waits up to ten seconds for another owner to go. As
 * `attach` it uses the engine that runs already, and starts one only if there is none.
 * @throws {Error} that says who holds the folder, or why the engine does not start
 */
export const openEmbedded = async (options: {
  dataDir: string
  role: 'owner' | 'attach'
  log: Logger
  waitMs?: number
}): Promise<EmbeddedEngine> => {
  const { role, log, waitMs = WAIT_MS } = options
  const folder = openFolder(options.dataDir)
  const deadline = Date.now() + waitMs
  for (;;) {
    const address = role === 'attach' ? folder.readAddress() : undefined
    if (address && (await answers(address))) return { ...address, owned: false, stop: async () => {} }
    const unlock = folder.lock()
    if (!unlock && Date.now() > deadline) throw heldError(folder, role)
    try {
      if (unlock) return await own(folder, unlock, log)
    } catch (error) {
      // The engine of a killed owner may take a moment to end.
      if (!(error instanceof FolderBusyError) || Date.now() > deadline) throw error
    }
    await sleep(LOOK_EVERY_MS)
  }
}
