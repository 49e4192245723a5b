import { type ClickHouse, param, raw, sql } from '../clickhouse/index.ts'
import { type Candidate, type FindOptions, statementOptions, viewOf } from './find.ts'
import { evidenceSql } from './sql/compile.ts'
import { relations } from './sql/relations.ts'

/** What is known of an address over a window. */
export interface AddressFacts {
  ip: string
  requests: number
  errors: number
  services: string[]
  country: string
  city: string
  asn: number
  as_organization: string
  user_agent: string
  referers: string[]
  first_seen: string
  last_seen: string
}

/** Where evidence is, of one address and detector. */
export interface EvidenceFacts {
  target: string
  first_seen: string
  last_seen: string
}

export interface Facts {
  address: (candidate: Candidate) => AddressFacts | undefined
  evidence: (candidate: Candidate) => EvidenceFacts | undefined
}

/** Addresses of one statement; more are asked for in turns. */
const SLICE = 20_000

const slicesOf = <T>(items: readonly T[]): T[][] =>
  Array.from({ length: Math.ceil(items.length / SLICE) }, (_, index) => items.slice(index * SLICE, (index + 1) * SLICE))

const NEWEST = ['country', 'city', 'asn', 'as_organization', 'user_agent']

/** Looks up what findings say beside their numbers: who the address is, and what it asked for most. */
export const gatherFacts = async (
  clickhouse: ClickHouse,
  candidates: readonly Candidate[],
  options: FindOptions,
): Promise<Facts> => {
  const addresses = new Map<string, AddressFacts>()
  const evidence = new Map<string, EvidenceFacts>()
  for (const windowSeconds of new Set(candidates.map(({ detector }) => detector.windowSeconds))) {
    const those = candidates.filter(({ detector }) => detector.windowSeconds === windowSeconds)
    const view = viewOf(options.hour, windowSeconds, options.runId)
    for (const some of slicesOf([...new Set(those.map(({ address }) => address))])) {
      const among = sql`address IN ${param('Array(IPv6)', some)}`
      const { rows } = await clickhouse.query<AddressFacts & { address: string }>(
        sql`WITH ${relations(view, 'address_hours')} SELECT address, min(ip) AS ip, sum(h.requests) AS requests, sum(h.errors) AS errors, arraySlice(arraySort(groupUniqArrayArray(h.services)), 1, 20) AS services, ${raw(NEWEST.map((name) => `argMax(h.${name}, h.hour) AS ${name}`).join(', '))}, arraySlice(arraySort(groupUniqArrayArray(h.referers)), 1, 20) AS referers, min(h.first_seen) AS first_seen, max(h.last_seen) AS last_seen FROM address_hours AS h WHERE ${among} GROUP BY address`,
        statementOptions(options),
      )
      for (const { address, ...facts } of rows) addresses.set(`${windowSeconds} ${address}`, facts)
    }
    const detectors = [...new Set(those.map(({ detector }) => detector))].filter(
      ({ stage, evidence }) => stage === 'requests' || evidence !== '',
    )
    if (detectors.length === 0 || windowSeconds > 86_400) continue
    for (const some of slicesOf([...new Set(those.map(({ address }) => address))])) {
      const among = sql`address IN ${param('Array(IPv6)', some)}`
      const { rows } = await clickhouse.query<EvidenceFacts & { address: string; kind: string }>(
        sql`SELECT address, kind, argMax(e.target, (e.requests, e.target)) AS target, min(e.first_seen) AS first_seen, max(e.last_seen) AS last_seen FROM (${evidenceSql(detectors, view, among)}) AS e GROUP BY address, kind`,
        statementOptions(options),
      )
      for (const { address, kind, ...facts } of rows) evidence.set(`${kind} ${address}`, facts)
    }
  }
  return {
    address: ({ address, detector }) => addresses.get(`${detector.windowSeconds} ${address}`),
    evidence: ({ address, detector }) => evidence.get(`${detector.id} ${address}`),
  }
}
