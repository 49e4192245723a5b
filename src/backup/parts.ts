import { type Sql, sql } from '../clickhouse/index.ts'
import type { Part } from './types.ts'

export const STORE = 'store_versions'
/** What no other part of the store has. */
const REST: Part = 'other'

const KINDS: readonly (readonly [Part, Sql])[] = [
  ['keys', sql`kind IN ('api_key', 'api_key_use')`],
  ['policies', sql`kind = 'rate_limit_policy'`],
  ['blocklist', sql`kind = 'block_list_entry'`],
  ['verdicts', sql`kind = 'verdict'`],
  ['detectors', sql`kind IN ('detector', 'detector_exception')`],
  ['subscriptions', sql`startsWith(kind, 'report') OR startsWith(kind, 'unsubscri')`],
]

/** Parts that `store_versions` holds rows of. */
export const STORE_PARTS: readonly Part[] = [...KINDS.map(([part]) => part), REST]

const isOfPart = (part: Part): Sql => {
  const known = KINDS.find(([name]) => name === part)
  if (known) return known[1]
  return KINDS.map(([, is]) => is).reduce((all, is) => sql`${all} AND NOT (${is})`, sql`1`)
}

/** Rows of `store_versions` that belong to one of these parts. */
export const isOfParts = (parts: readonly Part[]): Sql =>
  parts.map(isOfPart).reduce((any, is) => sql`${any} OR (${is})`, sql`0`)

/** The part that a table is, but for `store_versions`. */
const partOf = (table: string): Part => {
  if (table === 'request_logs') return 'logs'
  if (table === 'decisions') return 'decisions'
  if (table === 'findings_by_run') return 'findings'
  if (table === 'job_runs' || table.endsWith('_by_run')) return 'rollups'
  if (/^(?:report|deliver)/.test(table)) return 'subscriptions'
  return REST
}

/**
 * Rows of findings and roll-ups count by the records of the runs that wrote them. Each without the other would leave records
 * that speak of rows which are not there, so the two go together.
 */
export const completed = (chosen: readonly Part[]): Part[] => {
  const together: readonly Part[] = ['findings', 'rollups']
  return [...new Set([...chosen, ...(together.some((part) => chosen.includes(part)) ? together : [])])]
}

/** One file of a back-up to be. */
export interface Item {
  part: Part
  table: string
  /** Which rows of it. */
  where: Sql
}

/** What of these tables belongs to the chosen parts. Records of runs come first: what they speak of was written before them. */
export const itemsOf = (tables: readonly string[], chosen: readonly Part[]): Item[] =>
  [...tables]
    .sort((a, b) => Number(b === 'job_runs') - Number(a === 'job_runs') || (a < b ? -1 : 1))
    .flatMap((table) =>
      (table === STORE ? STORE_PARTS : [partOf(table)])
        .filter((part) => chosen.includes(part))
        .map((part) => whereOf(part, table)),
    )

export const whereOf = (part: Part, table: string): Item => ({
  part,
  table,
  where: table === STORE ? isOfParts([part]) : sql`1`,
})
