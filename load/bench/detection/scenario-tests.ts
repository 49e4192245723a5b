import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { parseAddress } from '../../../src/ratelimit/index.ts'
import type { LogRow } from '../../../test/support/request-logs.ts'
import { readLine } from './readers.ts'

const HOUR = 3_600_000
/**
 * Every test has addresses and users of its own, so that several can share an hour: closing one costs the same for one test
 * as for twenty. Groups of them lie further apart than any detector looks back, so that no few tests make up a swarm.
 */
const GROUPS = 4
const APART = 61 * 24 * HOUR
const FIRST_GROUP = Date.UTC(2000, 0, 1)

export interface ScenarioTest {
  name: string
  /** Moved in time by whole hours; networks and users replaced by those of the test. */
  rows: LogRow[]
  lines: number
  /** Address in `rows`, as it is counted → that in the log. */
  addresses: ReadonlyMap<string, string>
  /** What CrowdSec expects: scenarios by the address of the log that they name. */
  named: Map<string, string[]>
  /** Scenarios that are switched on; without the author. */
  scenarios: string[]
}

/** As detectors count it: IPv4, or the first address of a /64. */
export const counted = (ip: string): string => (parseAddress(ip)?.counted ?? ip).replace(/\/64$/, '')

/** Replaces addresses by those of a test's own, so that those of one /24 stay together. */
const createAliases = (test: number) => {
  const networks = new Map<string, number>()
  const addresses = new Map<string, string>()
  return {
    addresses,
    aliasOf: (ip: string): string => {
      const address = counted(ip)
      const v4 = /^(.+\.)(\d+)$/.exec(address)
      const network = v4?.[1] ?? address
      if (!networks.has(network)) networks.set(network, networks.size)
      const alias = v4
        ? `10.${test}.${networks.get(network)}.${v4[2]}`
        : `2001:db8:${test.toString(16)}:${networks.get(network)!.toString(16)}::1`
      addresses.set(counted(alias), ip)
      return alias
    },
  }
}

interface Expected {
  test: string
  file: string
  log_type: string
  scenarios: string[]
  alerts: { source_ip: string[]; scenario: string }[]
}

const withoutAuthor = (scenario: string): string =>
  scenario
    .split('/')
    .at(-1)!
    .replace(/\.yaml$/, '')

/** The scenario tests of the CrowdSec hub, each with addresses and users of its own. */
export const readScenarios = async (folder: string): Promise<ScenarioTest[]> => {
  const expected = JSON.parse(await readFile(join(folder, 'expected.json'), 'utf8')) as { tests: Expected[] }
  const tests: ScenarioTest[] = []
  const read = await Promise.all(
    expected.tests.map(async ({ file, log_type }) => {
      const lines = (await readFile(join(folder, file), 'utf8')).split(/\r?\n/).filter((line) => /\S/.test(line))
      const rows = lines.flatMap((line) => readLine(line, log_type) ?? [])
      const times = rows.map(({ timestamp }) => timestamp.getTime())
      const first = Math.floor(Math.min(...times) / HOUR) * HOUR
      return { lines: lines.length, rows, first }
    }),
  )
  for (const [index, { test: name, scenarios, alerts }] of expected.tests.entries()) {
    const { lines, rows, first } = read[index]!
    const shift = FIRST_GROUP + (index % GROUPS) * APART - first
    const { aliasOf, addresses } = createAliases(index)
    const named = new Map<string, string[]>()
    for (const { source_ip, scenario } of alerts)
      for (const ip of source_ip) named.set(ip, [...(named.get(ip) ?? []), withoutAuthor(scenario)])
    tests.push({
      name,
      rows: rows.map((row) => ({
        ...row,
        timestamp: new Date(row.timestamp.getTime() + shift),
        ip: aliasOf(row.ip),
        userId: row.userId && `${row.userId}-${index}`,
      })),
      lines,
      addresses,
      named,
      scenarios: scenarios.map(withoutAuthor),
    })
  }
  return tests
}

/** Scenario of the CrowdSec hub → ours that look for the same thing. */
export const MATCHING: Readonly<Record<string, readonly string[]>> = {
  'http-probing': ['not_found_probing'],
  'http-sensitive-files': ['sensitive_file'],
  'http-path-traversal-probing': ['path_traversal'],
  'http-cve-2021-41773': ['path_traversal'],
  'http-cve-2021-42013': ['path_traversal'],
  'grafana-cve-2021-43798': ['path_traversal'],
  'http-sqli-probbing-detection': ['sql_injection'],
  'http-xss-probbing': ['cross_site_scripting'],
  'zoneminder_cve-2022-39285': ['cross_site_scripting'],
  'zoneminder_cve-2022-39290': ['cross_site_scripting'],
  'zoneminder_cve-2022-39291': ['cross_site_scripting'],
  'http-bad-user-agent': ['scanner_user_agent'],
  'http-w00tw00t': ['exploit_probe'],
  'http-open-proxy': ['open_proxy_probe'],
  'http-dos-invalid-http-versions': ['open_proxy_probe'],
  'http-backdoors-attempts': ['backdoor_probe'],
  'http-bf-wordpress_bf': ['login_brute_force_200'],
  'http-apiscp-bf': ['login_brute_force_200'],
  'http-generic-bf': ['login_brute_force'],
  'http-generic-401-bf': ['login_brute_force'],
  'CVE-2022-41697': ['user_enumeration'],
  'http-wordpress_wpconfig': ['sensitive_file'],
  'http-wordpress_user-enum': ['user_enumeration'],
  'http-dos-random-uri': ['cache_busting'],
  'spring4shell_cve-2022-22965': ['command_injection'],
  'CVE-2022-44877': ['command_injection'],
  'CVE-2022-46169-cmd': ['command_injection'],
  'CVE-2022-46169-bf': ['exploit_probe'],
  netgear_rce: ['command_injection'],
  'CVE-2024-38475': ['path_traversal'],
  'CVE-2022-35914': ['exploit_probe'],
  'CVE-2023-22515': ['exploit_probe'],
  'CVE-2023-22518': ['exploit_probe'],
  'CVE-2023-49103': ['exploit_probe'],
  'CVE-2024-9474': ['exploit_probe'],
  'fortinet-cve-2022-40684': ['exploit_probe'],
  'jira_cve-2021-26086': ['exploit_probe'],
  'http-cve-probing': ['exploit_probe'],
  'http-sap-interface-probing': ['exploit_probe'],
}

/** What CrowdSec's hub tests a whitelist against: these must not flag, though the log would look like it. */
export const SILENCED: Readonly<Record<string, readonly string[]>> = {
  'calibre-web-whitelist': ['crawl', 'not_found_probing'],
  'rocketchat-whitelist': ['crawl', 'not_found_probing'],
  'haproxy-nextcloud-whitelist': ['crawl', 'not_found_probing'],
}
