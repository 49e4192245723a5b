import { parseArgs } from 'node:util'

import pino from 'pino'

import { type AttackKind, type DemoEvent, generateDay } from '../../../src/demo/index.ts'
import { table } from '../../../src/demo/table.ts'
import { sql } from '../../../src/clickhouse/index.ts'
import { createCrawlers, type NameResolver } from '../../../src/detection/crawlers/index.ts'
import { createGeo, type Geo } from '../../../src/geo/index.ts'
import { type Lab, openLab } from './lab.ts'

const DAY = 86_400_000
/** A Thursday, so that the quiet days before are working days too. */
const ATTACKED = new Date('2026-11-19T00:00:00Z')
const SLICE = 20_000

/** What a detector made of a day whose attackers are known. */
export interface DemoRow {
  detector: string
  mode: string
  /** Addresses that attacked in the way that the detector is named for. */
  attackers: number
  /** Of them, those that it flagged. */
  flagged: number
  /** Of them, those that no detector flagged. */
  missedByAll: number
  /** Attackers of other kinds that it flagged. */
  others: number
  /** Addresses that did not attack at all. */
  wrong: number
}

export interface DemoTotals {
  seed: number
  requests: number
  attackers: number
  flagged: number
  wrong: number
  recall: number
  precision: number
}

export interface DemoMeasure {
  rows: DemoRow[]
  totals: DemoTotals[]
  /** Addresses of either sort, with what there is to know of them. */
  wrong: { seed: number; address: string; detector: string; observed: number; target: string; details: string }[]
  missed: { seed: number; address: string; kinds: readonly AttackKind[]; requests: number }[]
}

/** What an operator would have told it: the shop's robots.txt forbids a path that nothing links to. */
const setTrap = ({ detectors }: Lab): void => {
  const index = detectors.findIndex(({ id }) => id === 'trap_path')
  detectors[index] = {
    ...detectors[index]!,
    values: { ...detectors[index]!.values, paths: ['/internal/price-lists-2019/'] },
  }
}

const nothing = (): Promise<string[]> => Promise.reject(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }))
/** The made-up addresses have no names; who is not in a published range is then told apart by that. */
const NOBODY: NameResolver = { resolvePtr: nothing, resolve4: nothing, resolve6: nothing }

const COLUMNS = [
  'timestamp',
  'ingested_at',
  'batch',
  'row',
  'service',
  'host',
  'method',
  'path',
  'route',
  'query',
  'protocol',
  'status_code',
  'duration_ms',
  'request_bytes',
  'response_bytes',
  'ip',
  'country',
  'city',
  'latitude',
  'longitude',
  'asn',
  'as_organization',
  'user_id',
  'user_agent',
  'referer',
  'trace_id',
  'action',
  'policy_id',
  'attributes',
]

const lineOf = (event: DemoEvent, place: ReturnType<Geo['lookup']>, row: number, now: string): string =>
  JSON.stringify([
    event.timestamp.replace('T', ' ').slice(0, -1),
    now,
    1,
    row,
    event.service,
    event.host,
    event.method,
    event.path,
    event.route ?? '',
    event.query ?? '',
    event.protocol,
    event.status,
    event.durationMs,
    event.requestBytes,
    event.responseBytes,
    event.ip.includes(':') ? event.ip : `::ffff:${event.ip}`,
    place.country,
    place.city,
    place.latitude,
    place.longitude,
    place.asn,
    place.asOrganization,
    event.userId ?? '',
    event.userAgent ?? '',
    event.referer ?? '',
    event.traceId ?? '',
    event.action ?? 'allowed',
    event.policyId ?? '',
    event.attributes ? JSON.stringify(event.attributes) : '',
  ])

const insertEvents = async (lab: Lab, geo: Geo, events: readonly DemoEvent[], name: string): Promise<void> => {
  const now = new Date().toISOString().slice(0, 19).replace('T', ' ')
  for (let from = 0; from < events.length; from += SLICE)
    await lab.clickhouse.insert({
      table: 'request_logs',
      columns: COLUMNS,
      rows: Buffer.from(
        events
          .slice(from, from + SLICE)
          .map((event, index) => lineOf(event, geo.lookup(event.ip), from + index, now))
          .join('\n'),
      ),
      deduplicationToken: `demo-${name}-${from}`,
    })
}

/** IPv6 is judged by its /64. */
const countedAs = (ip: string): string => {
  if (!ip.includes(':')) return ip
  const [head = '', tail] = ip.split('::')
  const left = head.split(':')
  const right = tail?.split(':') ?? []
  const groups =
    tail === undefined ? left : [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right]
  return new URL(`http://[${groups.slice(0, 4).join(':')}::]`).hostname.slice(1, -1)
}

const ratio = (part: number, whole: number): number => (whole === 0 ? 1 : part / whole)

/**
 * Feeds quiet days and then a day with every kind of attack, for each seed, and holds that day's findings against the truth.
 * An address counts as flagged by any finding whose detector flags (REPORT_ONLY does not).
 */
export const measureDemo = async (
  seeds: readonly number[],
  { requests = 100_000, quietDays = 2 }: { requests?: number; quietDays?: number } = {},
): Promise<DemoMeasure> => {
  const log = pino({ level: 'silent' })
  const geo = createGeo({ cityDbs: [], asnDbs: [], log })
  const crawlers = createCrawlers({ dns: true, resolver: NOBODY, log })
  await Promise.all([geo.start(), crawlers.start()])
  const lab = await openLab({ crawlers })
  setTrap(lab)
  const rows = new Map<string, DemoRow>()
  const rowOf = (detector: string, mode = ''): DemoRow => {
    const row = rows.get(detector) ?? { detector, mode, attackers: 0, flagged: 0, missedByAll: 0, others: 0, wrong: 0 }
    rows.set(detector, row)
    return row
  }
  for (const { id, mode } of lab.detectors) rowOf(id, mode)
  const modes = new Map(lab.detectors.map(({ id, mode }) => [id, mode]))
  const measure: DemoMeasure = { rows: [], totals: [], wrong: [], missed: [] }
  try {
    for (const seed of seeds) {
      await lab.empty()
      // The quiet days only teach what is usual: roll-ups without detectors, which would take most of the time.
      for (const detector of lab.detectors) detector.mode = 'OFF'
      for (let before = quietDays; before > 0; before--) {
        const quiet = generateDay({ seed, day: new Date(ATTACKED.getTime() - before * DAY), requests, attacks: false })
        await insertEvents(lab, geo, quiet.events(), `${seed}-${before}`)
      }
      if (quietDays > 0) await lab.closeHours()
      for (const detector of lab.detectors) detector.mode = modes.get(detector.id)!
      await lab.clickhouse.command(sql`TRUNCATE TABLE request_logs SYNC`)
      const day = generateDay({ seed, day: ATTACKED, requests })
      const { truth } = day
      await insertEvents(lab, geo, day.events(), `${seed}`)
      await lab.closeHours()

      const kinds = new Map<string, Set<AttackKind>>()
      for (const attacker of truth.attackers) {
        const address = countedAs(attacker.ip)
        kinds.set(address, new Set([...(kinds.get(address) ?? []), ...attacker.kinds]))
      }
      const all = await lab.findings()
      const findings = new Map(all.map((finding) => [`${finding.detector} ${finding.address}`, finding]))
      const flagging = [...findings.values()].filter(({ mode }) => mode !== 'REPORT_ONLY')
      const flagged = new Set(flagging.map(({ address }) => address))
      for (const [address, its] of kinds)
        for (const kind of its) {
          const row = rowOf(kind)
          row.attackers++
          if (findings.has(`${kind} ${address}`)) row.flagged++
          if (!flagged.has(address)) row.missedByAll++
        }
      for (const finding of findings.values()) {
        const its = kinds.get(finding.address)
        if (!its) rowOf(finding.detector).wrong++
        else if (!its.has(finding.detector as AttackKind)) rowOf(finding.detector).others++
      }
      measure.wrong.push(
        ...flagging
          .filter(({ address }) => !kinds.has(address))
          .map(({ address, detector, observed, target, details }) => ({
            seed,
            address,
            detector,
            observed,
            target,
            details,
          })),
      )
      measure.missed.push(
        ...truth.attackers
          .filter(({ ip }) => !flagged.has(countedAs(ip)))
          .map((attacker) => ({ seed, address: attacker.ip, kinds: attacker.kinds, requests: attacker.requests })),
      )
      const right = [...flagged].filter((address) => kinds.has(address)).length
      measure.totals.push({
        seed,
        requests: day.events().length,
        attackers: kinds.size,
        flagged: right,
        wrong: flagged.size - right,
        recall: ratio(right, kinds.size),
        precision: ratio(right, flagged.size),
      })
    }
  } finally {
    await lab.close()
    await Promise.all([geo.stop(), crawlers.stop()])
  }
  return { ...measure, rows: [...rows.values()].sort((a, b) => (a.detector < b.detector ? -1 : 1)) }
}

if (import.meta.main) {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { 'quiet-days': { type: 'string', default: '2' } },
  })
  const { rows, totals, wrong, missed } = await measureDemo(positionals.map(Number), {
    quietDays: Number(values['quiet-days']),
  })
  const right = { right: true as const }
  console.log(
    table('detectors on the demo', rows, [
      {
        title: 'detector',
        value: ({ detector, mode }) => (mode === 'REPORT_ONLY' ? `${detector} (report)` : detector),
      },
      { title: 'attackers', value: ({ attackers }) => String(attackers), ...right },
      { title: 'flagged', value: ({ flagged }) => String(flagged), ...right },
      { title: 'missed by all', value: ({ missedByAll }) => String(missedByAll), ...right },
      { title: 'other attackers', value: ({ others }) => String(others), ...right },
      { title: 'wrong', value: (row) => String(row.wrong), ...right },
    ]),
  )
  console.log(totals)
  console.log('wrong', wrong)
  console.log('missed', missed)
}
