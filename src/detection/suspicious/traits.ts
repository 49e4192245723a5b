import type { Asker, Run } from '../../analytics/index.ts'
import { param, sql } from '../../clickhouse/index.ts'
import { shownAddress } from '../judge.ts'
import type { Traits } from './campaigns.ts'
import { flagging, mergedSql, type Range, requestsSql } from './merge.ts'

/** Campaigns are looked for among so many, worst first. */
const MOST = 10_000
/** Of one address. */
const MOST_TARGETS = 50

interface Row {
  address_text: string
  lowest: string
  asn: number
  organization: string
  first_at: string
  last_at: string
  all_requests: string
  agents: string[]
  referers: string[]
  groups: [detector: string, key: string][]
  targets: [path: string, hour: number][]
}

const traitsOf = (row: Row): Traits => ({
  address: row.address_text,
  ip: shownAddress(row.lowest),
  asn: row.asn || null,
  asOrganization: row.organization || null,
  firstSeenAt: new Date(Number(row.first_at)),
  lastSeenAt: new Date(Number(row.last_at)),
  requests: Number(row.all_requests),
  userAgents: row.agents,
  referers: row.referers,
  groups: row.groups.map(([detector, key]) => ({ detector, key })),
  targets: row.targets.map(([path, hour]) => ({ path, hour })),
})

export const findTraits = async (range: Range, asker: Asker, run: Run): Promise<Traits[]> => {
  const flagged = flagging(range, asker)
  const worst = sql`SELECT address FROM (${mergedSql(flagged)}) ORDER BY tenths DESC, address LIMIT ${param('UInt32', MOST)}`
  const which = sql`${flagged} AND f.address IN (SELECT address FROM worst)`
  const key = sql`JSONExtractString(f.details, 'group_key')`
  const rows = await run<Row>(
    sql`WITH worst AS (${worst})
SELECT
    toString(t.address) AS address_text, t.lowest AS lowest, t.asn AS asn, t.organization AS organization, t.first_at AS first_at, t.last_at AS last_at, n.all_requests AS all_requests, t.agents AS agents, t.referers AS referers, t.groups AS groups, t.targets AS targets
FROM
(
    SELECT
        f.address AS address,
        toString(min(f.ip)) AS lowest,
        argMax(f.asn, (f.hour, f.detector)) AS asn,
        argMax(f.as_organization, (f.hour, f.detector)) AS organization,
        toUnixTimestamp64Milli(min(f.first_seen)) AS first_at,
        toUnixTimestamp64Milli(max(f.last_seen)) AS last_at,
        arraySort(groupUniqArrayIf(f.user_agent, f.user_agent != '')) AS agents,
        arraySort(groupUniqArrayArray(f.referers)) AS referers,
        arraySort(groupUniqArrayIf((f.detector, ${key}), ${key} != '')) AS groups,
        arraySlice(arraySort(groupUniqArrayIf((f.target, toUnixTimestamp(f.hour)), f.target != '')), 1, ${param('UInt8', MOST_TARGETS)}) AS targets
    FROM findings AS f
    WHERE ${which}
    GROUP BY f.address
) AS t
INNER JOIN (${requestsSql(which)}) AS n ON n.whose = t.address`,
  )
  return rows.map(traitsOf)
}
