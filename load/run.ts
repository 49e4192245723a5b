/**
 * `npm run load -- NAME [what k6 run takes]`: runs load/NAME.js by k6 against a service that it starts, with the embedded engine, a
 * Redis where there is one on PATH, and a data folder that goes with it. k6 is on PATH, or K6 names it.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { freePort } from '../test/support/free-port.ts'
import { startService } from '../test/support/process.ts'
import { startRedis } from '../test/support/redis-server.ts'
import { startFlags } from './bench/flags.ts'

const NAMES = readdirSync(import.meta.dirname).flatMap((name) => (name.endsWith('.js') ? [name.slice(0, -3)] : []))

/** @returns k6's exit code: 99 where a threshold was missed */
const k6 = async (name: string, args: readonly string[], env: Record<string, string>): Promise<number> => {
  const script = join(import.meta.dirname, `${name}.js`)
  const child = spawn(process.env['K6'] ?? 'k6', ['run', '--quiet', ...args, script], {
    env: { ...process.env, K6_NO_USAGE_REPORT: 'true', ...env },
    stdio: 'inherit',
  })
  const failed = once(child, 'error').then(([error]) => {
    throw new Error('k6 is not on PATH; install it (https://grafana.com/docs/k6), or set K6 to where it is', {
      cause: error,
    })
  })
  failed.catch(() => {})
  const [code] = (await Promise.race([once(child, 'exit'), failed])) as [number | null]
  return code ?? 1
}

const run = async (name: string, args: readonly string[]): Promise<number> => {
  const dataDir = await mkdtemp(join(tmpdir(), 'vedette-load-'))
  const redis = await startRedis().catch(() => undefined)
  const service = startService({
    dataDir,
    port: await freePort(),
    // The collector's and GraphQL's own limits are far above this; decisions are asked about visitors of X-Forwarded-For.
    env: { LOG_LEVEL: 'error', TRUSTED_PROXIES: '127.0.0.1', REDIS_URL: redis?.url ?? '' },
    flags: await startFlags(),
  })
  try {
    await service.ready()
    const key = (await readFile(join(dataDir, 'admin-key'), 'utf8')).trim()
    return await k6(name, args, { URL: service.url, KEY: key })
  } finally {
    await service.kill('SIGTERM')
    await redis?.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
}

const [name = '', ...args] = process.argv.slice(2)
if (NAMES.includes(name)) process.exitCode = await run(name, args)
else {
  console.error(`npm run load -- NAME; NAME is ${NAMES.join(', ')}, not ${JSON.stringify(name)}`)
  process.exitCode = 2
}
