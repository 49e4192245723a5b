import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { createGeo } from '../../../src/geo/index.ts'
import { count, percent, table } from '../../../src/demo/table.ts'
import type { LogRow } from '../../../test/support/request-logs.ts'
import type { Fail2ban } from './fail2ban.ts'
import type { Lab } from './lab.ts'
import { runOriginal } from './original.ts'
import { collectorRow } from './readers.ts'

const withPlaces = async (rows: readonly LogRow[]): Promise<LogRow[]> => {
  const geo = createGeo({ cityDbs: [], asnDbs: [], log: { info: () => {}, warn: () => {} } })
  await geo.start()
  try {
    return rows.map((row) => {
      const { country, city, asn, asOrganization } = geo.lookup(row.ip)
      return { ...row, country, city, asn, asOrganization }
    })
  } finally {
    await geo.stop()
  }
}

/** A real site's access log, mostly benign: whom we flag, one by one, so that each can be looked at. */
export const benchAccessLog = async (lab: Lab, data: string, fail2ban: Fail2ban | undefined): Promise<void> => {
  const lines = (await readFile(join(data, 'access-logs/apache-combined.log'), 'utf8')).split('\n').filter(Boolean)
  const rows = await withPlaces(lines.flatMap((line) => collectorRow(line) ?? []))
  const addresses = new Set(rows.map(({ ip }) => ip)).size
  await lab.empty()
  await lab.insert(rows)
  const spent = await lab.closeHours()
  const findings = (await lab.findings()).filter(({ mode }) => mode !== 'REPORT_ONLY')
  const agents = new Map(rows.map(({ ip, userAgent }) => [ip, userAgent ?? '']))
  const flagged = new Set(findings.map(({ address }) => address))
  const share = (flagged: number) =>
    `${count(flagged)} of ${count(addresses)} addresses (${percent(flagged / addresses)})`

  console.log(
    `\nAccess log of a real site: ${count(rows.length)} requests read of ${count(lines.length)} lines; our detectors took ${(spent / 1_000).toFixed(1)} s\n(its minute is 05 throughout: what is counted within an hour is right, bursts within minutes are not)\n`,
  )
  console.log(
    table(
      `Flagged: ${share(flagged.size)}`,
      findings,
      [
        { title: 'address', value: ({ address }) => address },
        { title: 'detector', value: ({ detector }) => detector },
        { title: 'hour', value: ({ hour }) => hour },
        { title: 'observed', value: ({ observed }) => String(Number(observed.toFixed(2))), right: true },
        { title: 'threshold', value: ({ threshold }) => String(Number(threshold.toFixed(2))), right: true },
        { title: 'requests', value: ({ requests }) => count(requests), right: true },
        { title: 'target', value: ({ target }) => target },
        { title: 'user agent', value: ({ address }) => agents.get(address) ?? '' },
      ],
      70,
    ),
  )
  const original = await runOriginal(lab.clickhouse)
  console.log(`  the original flags ${share(new Set(original.map(({ address }) => address)).size)}`)
  if (!fail2ban) return
  const { bans } = await fail2ban.run(rows)
  const banned = new Map(bans.map(({ address, jail }) => [address, jail]))
  console.log(
    `  fail2ban flags ${share(banned.size)}${banned.size > 0 ? `: ${[...banned].map(([address, jail]) => `${address} by ${jail}`).join(', ')}` : ''}`,
  )
}
