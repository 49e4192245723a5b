import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export interface ServiceProcess {
  readonly url: string
  readonly pid: number
  /** What it wrote to stderr since its start. */
  log: () => string
  /** Of its embedded engine. */
  enginePid: () => Promise<number>
  /** Until it answers. */
  ready: () => Promise<void>
  kill: (signal: NodeJS.Signals) => Promise<void>
  /** Resident memory in bytes. */
  memory: () => Promise<number>
}

/** `vedette serve` as a process of its own. */
export const startService = ({
  dataDir,
  port,
  env = {},
  flags = [],
}: {
  dataDir: string
  port: number
  env?: Record<string, string>
  /** Of Node. */
  flags?: readonly string[]
}): ServiceProcess => {
  const child: ChildProcess = spawn(process.execPath, [...flags, MAIN, 'serve'], {
    env: {
      ...process.env,
      LOG_LEVEL: 'warn',
      DATA_DIR: dataDir,
      PORT: String(port),
      HOST: '127.0.0.1',
      CLICKHOUSE_URL: '',
      REDIS_URL: '',
      ...env,
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let written = ''
  child.stderr!.on('data', (chunk: Buffer) => {
    written += chunk
  })
  const url = `http://127.0.0.1:${port}`
  return {
    url,
    pid: child.pid!,
    log: () => written,
    enginePid: async () => (JSON.parse(await readFile(join(dataDir, 'engine.json'), 'utf8')) as { pid: number }).pid,
    ready: async () => {
      for (;;) {
        if (child.exitCode !== null) throw new Error(`the service ended with ${child.exitCode}: ${written}`)
        const answers = await fetch(`${url}/healthz`).then(
          (response) => response.ok,
          () => false,
        )
        if (answers) return
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    },
    kill: async (signal) => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.kill(signal)
      await ended
    },
    memory: async () => {
      const status = await readFile(`/proc/${child.pid}/status`, 'utf8')
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024
    },
  }
}
