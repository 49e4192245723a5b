/**
 * The embedded engine's process. Its parent sends one message with everything it needs, hears `ready` or `failed`, and
 * later sends `stop`. It never outlives its parent: when the channel closes it kills itself, whatever it is doing.
 */
import { mkdirSync } from 'node:fs'
import type { AddressInfo } from 'node:net'

import { openEngine } from './calls.ts'
import { createFront, type Front } from './front.ts'
import type { FromEngine, StartMessage, ToEngine } from './messages.ts'

// Ctrl-C, a closed terminal and systemd signal the whole group; the parent flushes first and then tells us to stop.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
// SIGKILL, since a running query would hold up an orderly exit for seconds.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))

const tell = (message: FromEngine): void => void process.send?.(message)

const listen = (front: Front, port: number): Promise<number> =>
  new Promise((resolve, reject) => {
    front.server.once('error', reject)
    front.server.listen(port, '127.0.0.1', () => resolve((front.server.address() as AddressInfo).port))
  })

const start = async (message: StartMessage): Promise<(graceMs: number) => Promise<void>> => {
  mkdirSync(message.folder, { recursive: true, mode: 0o700 })
  const calls = await openEngine(message.folder, message.engineArguments, message.settings)
  const setUp = { settings: new Map(), parameters: new Map(), queryId: undefined, format: 'Null', whole: true }
  await calls.whole(
    { ...setUp, database: undefined, text: `CREATE DATABASE IF NOT EXISTS ${message.database} ENGINE = Atomic` },
    'commands',
    new AbortController().signal,
  )
  const front = createFront(calls, message)
  tell({ type: 'ready', port: await listen(front, message.port) })
  return async (graceMs) => {
    front.server.close()
    front.server.closeIdleConnections()
    const settled = async (deadline: number): Promise<boolean> => {
      while (calls.running() > 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10))
      return calls.running() === 0
    }
    front.cancel('reads')
    if (!(await settled(Date.now() + graceMs))) {
      front.cancel('all')
      await settled(Date.now() + 1000)
    }
    calls.close()
    process.exit(0)
  }
}

let stop: ((graceMs: number) => Promise<void>) | undefined
process.on('message', (message: ToEngine) => {
  if (message.type === 'stop') {
    if (stop) void stop(message.graceMs)
    else process.kill(process.pid, 'SIGKILL')
    return
  }
  start(message).then(
    (stopper) => {
      stop = stopper
    },
    (error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error)
      process.send?.({ type: 'failed', reason } satisfies FromEngine, () => process.exit(1))
    },
  )
})
