import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { setPriority, totalmem } from 'node:os'
import { extname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import type { Logger } from 'pino'

import { THREADS } from './lane.ts'
import type { FromEngine, StartMessage, ToEngine } from './messages.ts'

/** What an insert or a command that runs when the engine is told to stop gets before it is cancelled. */
const GRACE_MS = 5000
const FIRST_BACKOFF_MS = 100
const LAST_BACKOFF_MS = 5000
/** An engine that ran this long was well: the next start is tried at once again. */
const HEALTHY_MS = 30_000

export interface EngineProcess {
  readonly port: number
  readonly pid: number
  readonly user: string
  readonly password: string
  stop: () => Promise<void>
}

/**
 * Half of the machine's (or container's) memory, since the service, its spool's page cache and whatever else lives on a small
 * host need the other half; the engine stayed under 1 GB through 50 million rows. One statement gets at most 60 % of that, so
 * that a report that asks too much fails by itself and inserts go on. Marks of the newest weeks fit in a twentieth.
 */
export const limitsFor = (memory: number): Pick<StartMessage, 'engineArguments' | 'settings'> => {
  const engine = Math.max(2 ** 29, Math.floor(memory / 2))
  return {
    engineArguments: [`--max_server_memory_usage=${engine}`, `--mark_cache_size=${Math.floor(engine / 20)}`],
    // Given as arguments these would hold for the first connection only.
    settings: {
      max_memory_usage: String(Math.floor(engine * 0.6)),
      // As on a server: `SELECT` must be written, and the symbols of our process are nobody's business.
      implicit_select: '0',
      allow_introspection_functions: '0',
    },
  }
}

const machineMemory = (): number => {
  const limit = process.constrainedMemory()
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem()
}

/** No secrets of the service's environment go to the engine. */
const environment = (): NodeJS.ProcessEnv => {
  const kept = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'LC_ALL', 'LD_LIBRARY_PATH']
  const env = Object.fromEntries(kept.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])))
  return { ...env, TZ: 'UTC', UV_THREADPOOL_SIZE: String(THREADS) }
}

interface Running {
  child: ChildProcess
  exited: Promise<void>
}

const end = async (running: Running): Promise<void> => {
  // A frozen engine hears nothing; it is killed, which its data survives.
  const timer = setTimeout(() => running.child.kill('SIGKILL'), GRACE_MS + 2000)
  running.child.send({ type: 'stop', graceMs: GRACE_MS } satisfies ToEngine, () => {})
  await running.exited
  clearTimeout(timer)
}

/** Another engine has the folder open: one that nobody stopped, or one that is just ending after its parent was killed. */
export class FolderBusyError extends Error {
  override name = 'FolderBusyError'

  constructor(folder: string) {
    super(`Another ClickHouse engine has ${folder} open; stop that process (fuser ${folder}/status shows it)`)
  }
}

/**
 * A heavy query must not keep the service from taking rows. Beside one, on two cores, the collector took 100,000 rows/s with
 * the engine at this priority and 31,000 without, and the p99 of its event-loop delay was 20 ms instead of 48.
 */
const NICENESS = 10

const giveWay = (pid: number | undefined): void => {
  try {
    if (pid !== undefined) setPriority(pid, NICENESS)
  } catch {
    // Gone already, which its exit tells; or a system that does not let us.
  }
}

/**
 * Starts the engine on a folder and keeps it running on the same port: when it dies it is started again, at once and then
 * ever later up to five seconds.
 * @throws {FolderBusyError}
 * @throws {Error} with the engine's reason when the first start fails
 */
export const startEngine = async (options: {
  folder: string
  database: string
  log: Logger
  /** After each start, before calls are served to anyone who looks the address up. */
  onReady: (engine: EngineProcess) => void
}): Promise<EngineProcess> => {
  const { log } = options
  const user = 'vedette'
  const password = randomBytes(24).toString('base64url')
  const script = fileURLToPath(new URL(`./engine${extname(import.meta.url)}`, import.meta.url))
  const stop = new AbortController()
  let port = 0
  let pid = 0

  const launch = async (): Promise<Running> => {
    const child = fork(script, [], { execArgv: [], env: environment(), stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
    giveWay(child.pid)
    let complaint = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        complaint = (complaint + text).slice(-4000)
        log.debug({ engine: text.trimEnd() }, 'engine output')
      })
    }
    // Without a listener an error of the channel would end the service; the engine's exit tells us all we need.
    child.on('error', (error) => log.debug({ err: error }, 'engine channel'))
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    const message: StartMessage = {
      type: 'start',
      folder: options.folder,
      database: options.database,
      user,
      password,
      port,
      ...limitsFor(machineMemory()),
    }
    child.send(message, () => {})
    const [answer] = (await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(([code, signal]) => [
        { type: 'failed', reason: `it ended with ${String(signal ?? code)}` },
      ]),
    ])) as [FromEngine]
    if (answer.type === 'failed') {
      child.kill('SIGKILL')
      await exited
      throw failureOf(answer.reason, complaint, options.folder)
    }
    port = answer.port
    return { child, exited }
  }

  const keepRunning = async (first: Running): Promise<void> => {
    let running: Running | undefined = first
    let backoff = FIRST_BACKOFF_MS
    const stopRequested = once(stop.signal, 'abort')
    for (;;) {
      if (running) {
        const since = Date.now()
        await Promise.race([running.exited, stopRequested])
        if (stop.signal.aborted) return end(running)
        const { signalCode, exitCode } = running.child
        log.error({ exit: signalCode ?? exitCode }, 'ClickHouse engine died; starting it again')
        if (Date.now() - since > HEALTHY_MS) backoff = FIRST_BACKOFF_MS
      }
      await sleep(backoff, undefined, { signal: stop.signal }).catch(() => {})
      if (stop.signal.aborted) return
      backoff = Math.min(backoff * 2, LAST_BACKOFF_MS)
      try {
        running = await launch()
        pid = running.child.pid!
        options.onReady(engine)
        log.info({ pid }, 'ClickHouse engine is back')
      } catch (error) {
        running = undefined
        log.error({ err: error, retryInMs: backoff }, 'ClickHouse engine did not start')
      }
    }
  }

  const engine: EngineProcess = {
    user,
    password,
    get port() {
      return port
    },
    get pid() {
      return pid
    },
    stop: async () => {
      stop.abort()
      await kept
    },
  }
  const first = await launch()
  pid = first.child.pid!
  const kept = keepRunning(first)
  options.onReady(engine)
  return engine
}

/** The engine's reason as a sentence that says what to do; the engine itself says some of it on stderr only. */
const failureOf = (reason: string, complaint: string, folder: string): Error => {
  if (/Cannot lock file/.test(`${reason} ${complaint}`)) return new FolderBusyError(folder)
  const last = complaint.trim().split('\n').at(-1)
  return new Error(`The embedded ClickHouse engine did not start: ${last ? `${reason}; it said: ${last}` : reason}`)
}
