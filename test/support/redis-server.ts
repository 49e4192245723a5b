import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { freePort } from './free-port.ts'

/** A redis-server of one's own, to kill and to freeze. */
export interface RedisServer {
  url: string
  port: number
  /** Answers nothing, but keeps its connections. */
  freeze: () => void
  thaw: () => void
  kill: () => Promise<void>
  /** Again, on the same port and empty. */
  restart: () => Promise<void>
  stop: () => Promise<void>
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    socket.once('data', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })

/** Takes `redis-server` from PATH. @throws {Error} with the remedy, where there is none */
export const startRedis = async (...settings: string[]): Promise<RedisServer> => {
  const port = await freePort()
  const folder = await mkdtemp(join(tmpdir(), 'vedette-redis-'))
  let child: ChildProcess

  const start = async () => {
    const options = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--dir', folder, ...settings]
    child = spawn('redis-server', options, { stdio: 'ignore' })
    const failed = once(child, 'error').then(([error]) => {
      throw new Error('redis-server is not on PATH; install it (apt-get install redis-server)', { cause: error })
    })
    for (;;) if (await Promise.race([answers(port), failed])) break
    failed.catch(() => {})
  }
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  await start()
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    kill,
    restart: start,
    stop: async () => {
      await kill()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
