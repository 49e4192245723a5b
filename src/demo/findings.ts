import { addressKind, countryName } from '../geo/index.ts'
import { ask, type Asker } from './ask.ts'
import type { Truth } from './day.ts'
import { count, percent, table } from './table.ts'

export interface FindingsOptions extends Asker {
  /** The time whose hours are closed: [from, to). */
  from: Date
  to: Date
  truth: Truth
  /** Rows of the tables. */
  rows?: number
  /** An hour is closed, so many of so many. */
  onProgress?: (done: number, of: number) => void
}

const HOUR = 3_600_000

interface Suspicious {
  ip: string
  score: number
  severity: string
  country: string | null
  requests: number
  detections: { detector: { id: string } }[]
}

interface Page {
  suspiciousIps: { nodes: Suspicious[]; pageInfo: { nextCursor: string | null } }
}

const RUN = `mutation DemoHour($from: DateTime!) {
  runJob(job: "hourly", windowFrom: $from) { jobRun { status error } userErrors { message } }
}`

const CLOSED = '{ jobRuns(job: "hourly", status: SUCCEEDED, first: 100) { nodes { windowFrom } } }'

const SUSPICIOUS = `query DemoSuspicious($from: DateTime!, $to: DateTime!, $after: String) {
  suspiciousIps(where: { lastSeen: { from: $from, to: $to } }, first: 500, after: $after) {
    nodes { ip score severity country requests detections { detector { id } } }
    pageInfo { nextCursor }
  }
}`

const CAMPAIGNS = `query DemoCampaigns($from: DateTime!, $to: DateTime!) {
  campaigns(timeRange: { from: $from, to: $to }, first: 100) { nodes { summary ips requests } }
}`

const TRAP = `mutation DemoTrap { setDetector(id: "trap_path", parameters: { paths: ["/internal/price-lists-2019/"] }) { userErrors { message } } }`

interface Campaign {
  summary: string
  ips: string[]
  requests: number
}

const closeHour = async (asker: Asker, from: Date): Promise<void> => {
  const { runJob } = await ask<{
    runJob: { jobRun: { status: string; error: string | null } | null; userErrors: { message: string }[] }
  }>(asker, RUN, { from: from.toISOString() })
  const reason = runJob.userErrors[0]?.message ?? runJob.jobRun?.error
  if (reason) throw new Error(`an hour could not be closed: ${reason}`)
}

/**
 * Once more those that the service has closed by now: it may have done so while rows of theirs still came in, and they would answer without
 * these for some minutes.
 */
export const closeAnew = async (asker: Asker): Promise<void> => {
  const { jobRuns } = await ask<{ jobRuns: { nodes: { windowFrom: string }[] } }>(asker, CLOSED, {})
  for (const { windowFrom } of jobRuns.nodes) await closeHour(asker, new Date(windowFrom))
}

const closeHours = async ({ from, to, onProgress, ...asker }: FindingsOptions): Promise<void> => {
  await ask(asker, TRAP, {})
  const first = Math.floor(from.getTime() / HOUR) * HOUR
  const hours = Math.ceil((to.getTime() - first) / HOUR)
  for (let hour = 0; hour < hours; hour++) {
    await closeHour(asker, new Date(first + hour * HOUR))
    onProgress?.(hour + 1, hours)
  }
}

const everySuspicious = async ({ from, to, ...asker }: FindingsOptions): Promise<Suspicious[]> => {
  const found: Suspicious[] = []
  for (let after: string | null | undefined; after !== null;) {
    const variables = { from: from.toISOString(), to: new Date(to.getTime() + HOUR).toISOString(), after }
    const { suspiciousIps } = await ask<Page>(asker, SUSPICIOUS, variables)
    found.push(...suspiciousIps.nodes)
    after = suspiciousIps.pageInfo.nextCursor
  }
  return found
}

const detectorsOf = ({ detections }: Suspicious): string[] => [
  ...new Set(detections.map(({ detector }) => detector.id)),
]

/** What is counted as one address, as text: the first four groups of IPv6. */
const networkOf = (ip: string): string =>
  ip.includes(':') ? new URL(`http://[${ip}]`).hostname.slice(1, -1).split(':').slice(0, 4).join(':') : ip

/**
 * Closes the hours by the service's own job, asks whom its detectors flagged, and sets that beside the truth.
 * @throws {Error} what the API said instead of an answer
 */
export const findings = async (options: FindingsOptions): Promise<string> => {
  const { from, to, truth, rows = 10 } = options
  await closeHours(options)
  const suspicious = await everySuspicious(options)
  const { campaigns } = await ask<{ campaigns: { nodes: Campaign[] } }>(options, CAMPAIGNS, {
    from: from.toISOString(),
    to: new Date(to.getTime() + HOUR).toISOString(),
  })
  const attackers = new Set(truth.attackers.map(({ ip }) => networkOf(ip)))
  const flagged = new Set(suspicious.map(({ ip }) => networkOf(ip)))
  const right = [...flagged].filter((ip) => attackers.has(ip)).length
  return [
    table(
      `Suspicious addresses: ${count(suspicious.length)} flagged by the hourly job`,
      suspicious.slice(0, rows),
      [
        { title: 'address', value: ({ ip }) => ip },
        {
          title: 'from',
          value: ({ ip, country }) => countryName(country ?? '') || addressKind(ip).replaceAll('_', ' '),
        },
        { title: 'score', value: ({ score }) => score.toFixed(0), right: true },
        { title: 'severity', value: ({ severity }) => severity.toLowerCase() },
        { title: 'requests', value: ({ requests }) => count(requests), right: true },
        { title: 'flagged by', value: (one) => detectorsOf(one).join(', ') },
      ],
      64,
    ),
    table(
      'Campaigns: addresses that act as one',
      campaigns.nodes.slice(0, 5),
      [
        { title: 'what they share', value: ({ summary }) => summary },
        { title: 'addresses', value: ({ ips }) => count(ips.length), right: true },
        { title: 'requests', value: ({ requests }) => count(requests), right: true },
      ],
      80,
    ),
    `Hidden in the day: ${count(attackers.size)} attackers. Found: ${count(right)} of them (${percent(right / attackers.size)}); ${count(flagged.size - right)} of the ${count(flagged.size)} flagged are none.`,
  ].join('\n\n')
}
