import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

import autocannon from 'autocannon'

export interface Load {
  url: string
  connections: number
  seconds: number
  path: string
  headers: Record<string, string>
  /** `{n}` in a header's value counts from 0 up to this many, and again. */
  variants: number
}

export interface Loaded {
  perSecond: number
  /** Milliseconds. */
  p50: number
  p99: number
  requests: number
  /** Answers that are not 2xx. */
  refused: number
}

const hasWrk = spawnSync('wrk', ['--version']).error === undefined

/** wrk takes a fifth of the CPU that autocannon does, which on two cores decides who is measured. */
export const GENERATOR = hasWrk ? 'wrk' : 'autocannon'

const script = ({ path, headers, variants }: Load): string => `
local n = -1
request = function()
  n = (n + 1) % ${variants}
  return wrk.format("GET", ${JSON.stringify(path)}, {
    ${Object.entries(headers)
      .map(([name, value]) => `[${JSON.stringify(name)}] = ((${JSON.stringify(value)}):gsub("{n}", n))`)
      .join(',\n    ')}
  })
end
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %d %f %f\\n", summary.requests, summary.duration,
    errors.status, latency:percentile(50), latency:percentile(99)))
  io.write(string.format("BROKEN %d\\n", errors.connect + errors.read + errors.write + errors.timeout))
end
`

const byWrk = async (load: Load): Promise<Loaded> => {
  const folder = await mkdtemp(join(tmpdir(), 'vedette-load-'))
  try {
    const file = join(folder, 'load.lua')
    await writeFile(file, script(load))
    const child = spawn(
      'wrk',
      ['-t', '1', '-c', String(load.connections), '-d', `${load.seconds}s`, '-s', file, load.url],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    const [written] = await Promise.all([text(child.stdout), once(child, 'exit')])
    const [, requests, duration, refused, p50, p99] = /RESULT (\d+) (\d+) (\d+) (\S+) (\S+)/.exec(written)!.map(Number)
    const broken = Number(/BROKEN (\d+)/.exec(written)![1])
    if (broken > 0) throw new Error(`${broken} requests to ${load.url} were not answered`)
    return {
      requests: requests!,
      perSecond: requests! / (duration! / 1e6),
      refused: refused!,
      p50: p50! / 1000,
      p99: p99! / 1000,
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const byAutocannon = async ({ url, connections, seconds, path, headers, variants }: Load): Promise<Loaded> => {
  const requests = Array.from({ length: variants }, (_, n) => ({
    path,
    headers: Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, value.replace('{n}', String(n))]),
    ),
  }))
  const result = await autocannon({ url, connections, duration: seconds, requests })
  if (result.errors > 0) throw new Error(`${result.errors} requests to ${url} were not answered`)
  return {
    requests: result.requests.total,
    perSecond: result.requests.average,
    refused: result.non2xx,
    p50: result.latency.p50,
    p99: result.latency.p99,
  }
}

/** Load on loopback, bounded in time. */
export const generate = (load: Load): Promise<Loaded> => (hasWrk ? byWrk(load) : byAutocannon(load))

export const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!
