import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { count, percent, table } from '../../../src/demo/table.ts'
import { type LogRow } from '../../../test/support/request-logs.ts'
import type { Lab } from './lab.ts'

const DATA = '../shared/data/payloads'
const HOUR = Date.UTC(2026, 10, 20, 10)

/** Which detector each class of HttpParamsDataset belongs to. */
const DETECTOR_OF = {
  sqli: 'sql_injection',
  xss: 'cross_site_scripting',
  'path-traversal': 'path_traversal',
  cmdi: 'command_injection',
} as const
export const PAYLOAD_DETECTORS: readonly string[] = Object.values(DETECTOR_OF)

export interface Payload {
  value: string
  kind: keyof typeof DETECTOR_OF | 'norm'
}

/** The values of HttpParamsDataset: quoted fields, a quote in one is doubled, a value may run over lines. */
export const readPayloads = (folder = DATA): Payload[] => {
  const text = readFileSync(join(folder, 'httpparams-train.csv'), 'utf8')
  return [...text.matchAll(/"((?:[^"]|"")*)","\d+","([a-z-]+)","[a-z]+"/g)].map(([, value, kind]) => ({
    value: value!.replaceAll('""', '"'),
    kind: kind as Payload['kind'],
  }))
}

const addressOf = (index: number): string => `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`

/** Each value as the search of an address of its own, answered 200. */
export const payloadRows = (payloads: readonly Payload[]): { rows: LogRow[]; address: (index: number) => string } => ({
  rows: payloads.map(({ value }, index) => ({
    timestamp: new Date(HOUR + (index % 3_600) * 1_000),
    ip: addressOf(index),
    path: '/search',
    query: `q=${encodeURIComponent(value.toWellFormed())}`,
    status: 200,
    responseBytes: 11_204,
    userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  })),
  address: addressOf,
})

interface CoreRule {
  group: string
  method: string
  uri: string
  headers: Record<string, string>
  has_body: boolean
}

/** The groups of rules that look for what our payload detectors look for. */
const GROUPS = /93[0-4]|94[124]/
const THEIR_AGENT = 'OWASP CRS test agent'

const splitUri = (uri: string): { path: string; query: string } => {
  const at = uri.indexOf('?')
  return at < 0 ? { path: uri, query: '' } : { path: uri.slice(0, at), query: uri.slice(at + 1) }
}

/** Requests of the Core Rule Set's own tests whose attack can show in a log: no body, and something in address, user agent or referer. */
export const readCoreRules = (folder = DATA): CoreRule[] =>
  readFileSync(join(folder, 'crs-positives.ndjson'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as CoreRule)
    .filter(
      ({ group, has_body, uri, headers }) =>
        GROUPS.test(group) &&
        !has_body &&
        (!/^\/(?:get|post|put|profile|upload\d*)?\/?$/.test(uri) ||
          (headers['User-Agent'] ?? THEIR_AGENT) !== THEIR_AGENT ||
          (headers['Referer'] ?? '') !== ''),
    )

/** How much of the Core Rule Set's positive tests is flagged. It knows levels of paranoia that no log should be read with: a report, no goal. */
export const benchCoreRules = async (lab: Lab, folder = DATA): Promise<void> => {
  const rules = readCoreRules(folder)
  await lab.empty()
  await lab.insert(
    rules.map(({ method, uri, headers }, index) => ({
      timestamp: new Date(HOUR + (index % 3_600) * 1_000),
      ip: addressOf(index),
      method,
      ...splitUri(uri),
      status: 403,
      userAgent: headers['User-Agent'] ?? '',
      referer: headers['Referer'] ?? '',
    })),
  )
  await lab.closeHours()
  const findings = await lab.findings()
  const flagged = new Set(findings.filter(({ mode }) => mode !== 'REPORT_ONLY').map(({ address }) => address))
  const groups = [...new Set(rules.map(({ group }) => group))].sort().map((group) => {
    const values = rules.flatMap((rule, index) => (rule.group === group ? [addressOf(index)] : []))
    return { group, values: values.length, flagged: values.filter((each) => flagged.has(each)).length }
  })
  console.log(
    table(`\nOWASP Core Rule Set, ${count(rules.length)} of its tests that show in a log`, groups, [
      { title: 'group', value: ({ group }) => group },
      { title: 'requests', value: ({ values }) => count(values), right: true },
      { title: 'flagged', value: ({ flagged }) => count(flagged), right: true },
      { title: 'share', value: ({ values, flagged }) => percent(flagged / values), right: true },
    ]),
  )
}
