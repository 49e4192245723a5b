import { type ChildProcess, execFile, fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { setPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'

import type { Stats } from '../../src/middleware/index.ts'
import { freePort } from '../../test/support/free-port.ts'
import { startService } from '../../test/support/process.ts'
import { cpuOf } from './cpu.ts'
import type { Message } from './middleware-service.ts'

const execute = promisify(execFile)
const SERVICE = fileURLToPath(new URL('middleware-service.ts', import.meta.url))
const SINK = fileURLToPath(new URL('middleware-sink.ts', import.meta.url))
const KINDS = ['http', 'express', 'fastify'] as const
const CONNECTIONS = 64
const WARM_SECONDS = 2
/** As a browser asks: a bare client's few headers would flatter the row that is made of them. */
const HEADERS = {
  accept: 'application/json',
  'accept-language': 'de,en;q=0.7',
  'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/149.0.0.0 Safari/537.36',
}

interface Service {
  url: string
  pid: number
  stats: () => Promise<Stats | undefined>
  stop: () => Promise<void>
}

const heard = async (child: ChildProcess): Promise<Message> => ((await once(child, 'message')) as [Message])[0]

const start = async (file: string, args: readonly string[]): Promise<Service> => {
  const child = fork(file, args)
  const told = await heard(child)
  if (!('port' in told)) throw new Error(`${file} did not say its port`)
  return {
    url: `http://127.0.0.1:${told.port}`,
    pid: child.pid!,
    stats: async () => {
      child.send('stats')
      const message = await heard(child)
      return 'stats' in message ? message.stats : undefined
    },
    stop: async () => {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    },
  }
}

const hasWrk = spawnSync('wrk', ['--version']).error === undefined

/** Requests answered in so many seconds. wrk where there is one: it leaves more of the machine to the service. */
const load = async (url: string, seconds: number): Promise<number> => {
  const headers = Object.entries(HEADERS).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  if (hasWrk) {
    const { stdout } = await execute('wrk', ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, ...headers, url])
    if (/Non-2xx/.test(stdout)) throw new Error(stdout)
    return Number(/(\d+) requests in/.exec(stdout)![1])
  }
  const { default: autocannon } = await import('autocannon')
  const result = await autocannon({ url, connections: CONNECTIONS, duration: seconds, headers: HEADERS })
  if (result.non2xx > 0 || result.errors > 0) throw new Error(`${result.non2xx} refused, ${result.errors} errors`)
  return result.requests.total
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

interface Measured {
  perSecond: number[]
  /** Of the service's process, µs a request. */
  cpu: number[]
}

/**
 * One round in a process of its own: two processes of the same bare service differ by up to a fifth, by how V8 happened to
 * compile and lay out each, so that one of each kind would compare luck.
 */
const measure = async (args: readonly string[], seconds: number, into: Measured): Promise<Stats | undefined> => {
  const service = await start(SERVICE, args)
  try {
    const target = `${service.url}/items/7?from=bench`
    await load(target, WARM_SECONDS)
    const before = cpuOf(service.pid)
    const requests = await load(target, seconds)
    into.perSecond.push(requests / seconds)
    into.cpu.push((cpuOf(service.pid) - before) / requests)
    return await service.stats()
  } finally {
    await service.stop()
  }
}

/** Bare, logging to a sink and logging to Vedette, by turns, so that whatever else the machine does falls on all. */
const compare = async (
  kind: (typeof KINDS)[number],
  { rounds, seconds, sink, vedette }: { rounds: number; seconds: number; sink: string; vedette: [string, string] },
): Promise<void> => {
  const ways = [[kind], [kind, sink, 'key'], [kind, ...vedette]]
  const found = ways.map((): Measured => ({ perSecond: [], cpu: [] }))
  let kept = 0
  let dropped = 0
  for (let round = 0; round < rounds; round++) {
    for (const index of round % 2 === 0 ? [0, 1, 2] : [2, 1, 0]) {
      const stats = await measure(ways[index]!, seconds, found[index]!)
      if (index !== 2) continue
      kept += stats!.sent + stats!.queued
      dropped += stats!.dropped
    }
  }
  const [bare, toSink, toVedette] = found as [Measured, Measured, Measured]
  const ratio = ({ perSecond }: Measured): string =>
    `${(100 * median(perSecond.map((value, round) => value / bare.perSecond[round]!))).toFixed(1)} %`
  console.log(
    [
      kind.padEnd(8),
      Math.round(median(bare.perSecond)).toLocaleString('en-US').padStart(9),
      ratio(toSink).padStart(9),
      ratio(toVedette).padStart(12),
      median(bare.cpu).toFixed(1).padStart(8),
      median(toSink.cpu).toFixed(1).padStart(14),
      `${kept} / ${dropped}`.padStart(20),
    ].join('  '),
  )
}

export const run = async (args: readonly string[]): Promise<void> => {
  const { values } = parseArgs({
    args: [...args],
    options: { rounds: { type: 'string', default: '9' }, seconds: { type: 'string', default: '2' } },
  })
  const folder = await mkdtemp(join(tmpdir(), 'vedette-bench-'))
  const vedette = startService({ dataDir: folder, port: await freePort(), env: { LOG_LEVEL: 'error' } })
  const sink = await start(SINK, [])
  try {
    await vedette.ready()
    // Both stand for other machines: they take what service and load leave.
    for (const pid of [vedette.pid, await vedette.enginePid(), sink.pid]) setPriority(pid, 10)
    const key = (await readFile(join(folder, 'admin-key'), 'utf8')).trim()
    console.log(
      `Requests/s with logging on against bare, ${CONNECTIONS} connections by ${hasWrk ? 'wrk' : 'autocannon'}, medians of ${values.rounds} rounds of ${values.seconds} s by turns`,
    )
    console.log('service        bare    to sink    to Vedette   CPU µs   CPU µs logged  rows kept / dropped')
    for (const kind of KINDS)
      await compare(kind, {
        rounds: Number(values.rounds),
        seconds: Number(values.seconds),
        sink: sink.url,
        vedette: [vedette.url, key],
      })
  } finally {
    await sink.stop()
    await vedette.kill('SIGTERM')
    await rm(folder, { recursive: true, force: true })
  }
}
