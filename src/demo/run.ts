import type { Writable } from 'node:stream'

import { generateDay, type Truth } from './day.ts'
import { closeAnew, findings } from './findings.ts'
import { send } from './send.ts'
import { summary } from './summary.ts'
import { count } from './table.ts'
import { trial } from './trial.ts'

export interface DemoOptions {
  /** Where the service listens, such as `http://127.0.0.1:8080`. */
  url: string
  /** An API key that may send and read. */
  key: string
  out: Writable & { isTTY?: boolean }
  seed?: number
  /** About how many requests the day has. */
  requests?: number
  /** The day ends here; now unless given. */
  end?: Date
  /** Lines that the geo database's licence asks for. */
  attributions?: readonly string[]
  signal?: AbortSignal
}

const MINUTE = 60_000
/** Above what visitors of the shop do in a minute, images and all; below what tools do. */
const TRIED_LIMIT = 60

/**
 * Makes a day that ends now, sends it to the running service, has its hours closed, and prints what the service saw and found.
 * @returns what was hidden in the traffic, for those who compare
 */
export const runDemo = async ({
  url,
  key,
  out,
  seed = 1,
  requests,
  end = new Date(),
  attributions = [],
  signal,
}: DemoOptions): Promise<Truth> => {
  const to = new Date(Math.floor(end.getTime() / MINUTE) * MINUTE)
  const day = generateDay({ seed, end: to, ...(requests !== undefined && { requests }) })
  const events = day.events()
  out.write(`A day of an outdoor shop (seed ${seed}): ${count(events.length)} requests to ${url}/v1/requests\n`)

  const result = await send({
    url,
    key,
    events,
    ...(signal && { signal }),
    onProgress: (sent, all) => {
      if (out.isTTY) out.write(`\r  ${count(sent)} of ${count(all)} sent`)
    },
  })
  const seconds = result.elapsedMs / 1_000
  if (out.isTTY) out.write('\r\x1b[K')
  out.write(
    `  ${count(result.accepted)} accepted in ${seconds.toFixed(1)} s, ${count(Math.round(result.accepted / seconds))} a second\n`,
  )
  if (result.rejected > 0) out.write(`  ${count(result.rejected)} refused\n`)
  for (const { index, field, message } of result.errors) out.write(`  row ${index} refused, ${field}: ${message}\n`)
  const from = new Date(to.getTime() - 24 * 60 * MINUTE)
  if (!result.stored) out.write('  ClickHouse is slow: the tables below may not hold all of them yet\n')

  await closeAnew({ url, key })
  out.write(`\n${await summary({ url, key, from, to })}\n\n`)
  out.write(`${await trial({ url, key, from, to, limit: TRIED_LIMIT })}\n\n`)
  const found = await findings({
    url,
    key,
    from,
    to,
    truth: day.truth,
    onProgress: (done, all) => {
      if (out.isTTY) out.write(`\r  ${count(done)} of ${count(all)} hours closed`)
    },
  })
  if (out.isTTY) out.write('\r\x1b[K')
  out.write(`${found}\n\n`)
  for (const line of attributions) out.write(`${line}\n`)
  out.write(
    `\nGraphiQL   ${url}/graphql#key=${key}\nCollector  ${url}/v1/requests\nDecisions  ${url}/v1/decide\nReports    ${url}/reports/daily/latest, any user and the API key as password\n`,
  )
  return day.truth
}
