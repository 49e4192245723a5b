import { readFileSync } from 'node:fs'

import { bind, join, param, raw, type Sql, sql } from '../../clickhouse/index.ts'

const REQUESTS = readFileSync(new URL('../../../clickhouse/requests.sql', import.meta.url), 'utf8')
  .replaceAll(/^\s*--.*$/gm, '')
  .trim()

/** What a statement of a detector sees. */
export interface View {
  /** The first moment of the hour that is closed. */
  hour: Date
  /** [from, to) of the detector; `to` is the end of that hour. */
  from: Date
  to: Date
  /** Of the hour itself its rows of this run count, which is not valid yet; undefined: those of the run that is. */
  runId: string | undefined
}

const seconds = (date: Date) => param("DateTime('UTC')", Math.floor(date.getTime() / 1_000))
const runIdOf = (runId: string) => param('UInt64', runId)

const of = ({ hour, from, runId }: View): Sql => {
  const valid = (condition: Sql): Sql =>
    sql`hour >= ${seconds(from)} AND ${condition} AND (hour, run_id) IN (SELECT window_from, run_id FROM valid_runs WHERE job = 'hourly' AND window_from >= ${seconds(from)})`
  return runId === undefined
    ? valid(sql`hour <= ${seconds(hour)}`)
    : sql`((hour = ${seconds(hour)} AND run_id = ${runIdOf(runId)}) OR (${valid(sql`hour < ${seconds(hour)}`)}))`
}

/** The requests of the window, without verified crawlers; it needs `crawlers` beside it. */
const requests = ({ from, to }: View, except: Sql | undefined): Sql =>
  sql`requests AS (SELECT * FROM (${bind(REQUESTS, { from: stamp(from), to: stamp(to) })}) WHERE address NOT IN (SELECT address FROM crawlers WHERE verdict = 'verified')${except ? sql` AND NOT (${except})` : sql``})`

const stamp = (date: Date): string => date.toISOString().slice(0, -1).replace('T', ' ')

const WITHOUT_CRAWLERS = raw("address NOT IN (SELECT address FROM crawlers WHERE verdict = 'verified')")

/**
 * The WITH clause of what a detector may name: requests, crawlers, address_hours, probes, user_hours and findings of its window.
 * @param except rows of `requests` that the detector is to leave alone
 */
export const relations = (view: View, text: string, except?: Sql): Sql => {
  const visible = of(view)
  const names = new Set(text.match(/\b(?:requests|address_hours|probes|user_hours|findings)\b/g))
  const rows = (name: 'address_hours' | 'probes' | 'user_hours' | 'findings'): Sql =>
    sql`${raw(name)} AS (SELECT * FROM ${raw(`${name}_by_run`)} WHERE ${visible} AND ${WITHOUT_CRAWLERS})`
  return join([
    sql`crawlers AS (SELECT * FROM crawler_hours_by_run WHERE ${visible})`,
    ...(names.has('requests') ? [requests(view, except)] : []),
    ...(['address_hours', 'probes', 'user_hours', 'findings'] as const).filter((name) => names.has(name)).map(rows),
  ])
}
