import { countryName } from '../../../geo/index.ts'
import type { Cell, Table } from '../../types.ts'
import { before, count, counted, listed, percent, sentence } from '../words.ts'
import { SEVERITIES, type Severity } from '../severity.ts'
import type { DetectorSource, Flag, MakeSection, Suspect, Work } from '../work.ts'

const PAGE = 1_000
/** More do not go into a mail, nor into a table that somebody reads. */
const MOST_ADDRESSES = 10_000

const rankOf = (severity: Severity): number => SEVERITIES.indexOf(severity)

/** All addresses flagged in the period, by score. */
const suspectsOf = async ({ suspicious, scope, severities, asker }: Work): Promise<Suspect[]> => {
  const found: Suspect[] = []
  let after: string | undefined
  do {
    const { edges, hasNextPage } = await suspicious
      .list(
        { lastSeen: scope.period, where: { severity: severities }, first: PAGE, ...(after !== undefined && { after }) },
        asker,
      )
      .page()
    found.push(...edges.map(({ node }) => node))
    after = hasNextPage ? edges.at(-1)?.cursor : undefined
  } while (after !== undefined && found.length < MOST_ADDRESSES)
  return found
}

type Row = Record<string, Cell>

type Known = DetectorSource['detectors']

/** More names say less. */
const MOST_REASONS = 3

/** `SQL injection` keeps its letters within a sentence, `Path traversal` does not. */
const within = (name: string): string => name.replace(/^\p{Lu}(?=\p{Ll})/u, (letter) => letter.toLowerCase())

/** What an address was flagged for, the worst first. */
const reasonsOf = (detectors: readonly string[], known: Known): string => {
  const worst = (id: string): number => rankOf(known.get(id)?.severity ?? 'LOW')
  const names = detectors.toSorted((a, b) => worst(b) - worst(a)).map((id) => known.get(id)?.name ?? id)
  return sentence(listed(names.map(within), MOST_REASONS))
}

const single = (suspect: Suspect, known: Known): Row => ({
  address: suspect.ip,
  severity: suspect.severity,
  requests: suspect.requests,
  reasons: reasonsOf(suspect.detectors, known),
  status: suspect.review.status,
  score: suspect.score,
  detectors: suspect.detectors,
  blocked: suspect.isBlocked ? 'yes' : 'no',
  country: suspect.country,
  network: suspect.asOrganization,
  firstSeen: suspect.firstSeenAt,
  lastSeen: suspect.lastSeenAt,
})

const sorted = (texts: Iterable<string>): string[] => [...new Set(texts)].toSorted()

const together = (
  { campaign }: Awaited<ReturnType<Work['suspicious']['campaigns']>>[number],
  members: readonly Suspect[],
  known: Known,
): Row => {
  const blocked = members.filter(({ isBlocked }) => isBlocked).length
  const countries = sorted(members.flatMap(({ country }) => country ?? []))
  const worst = members.reduce((a, b) => (rankOf(b.severity) > rankOf(a.severity) ? b : a))
  const detectors = sorted(members.flatMap(({ detectors }) => detectors))
  const flagging = (id: string): number => members.filter(({ detectors }) => detectors.includes(id)).length
  const statuses = Map.groupBy(members, ({ review }) => review.status)
  return {
    campaign: campaign.summary,
    severity: worst.severity,
    requests: campaign.requests,
    // Of the equally bad those first that most of its addresses were flagged by.
    reasons: reasonsOf(
      detectors.toSorted((a, b) => flagging(b) - flagging(a)),
      known,
    ),
    addresses: campaign.ips.length,
    score: Math.max(...members.map(({ score }) => score)),
    detectors,
    status: sorted(statuses.keys()).map((status) => `${statuses.get(status)!.length} ${status}`),
    blocked: blocked === 0 ? 'no' : blocked === members.length ? 'yes' : `${blocked} of ${members.length}`,
    countries: countries.map((country) => countryName(country) || country),
    firstSeen: campaign.firstSeenAt,
    lastSeen: campaign.lastSeenAt,
    members: campaign.ips,
  }
}

// The first few go into the mail: who, how bad, how much, why, and what became of it.
const CAMPAIGN_COLUMNS: Table['columns'] = [
  { key: 'campaign', title: 'Campaign', kind: 'words' },
  { key: 'severity', title: 'Severity', kind: 'enum' },
  { key: 'requests', title: 'Requests', kind: 'requests' },
  { key: 'reasons', title: 'Why', kind: 'text' },
  { key: 'status', title: 'Status', kind: 'enum' },
  { key: 'blocked', title: 'Blocked', kind: 'text' },
  { key: 'addresses', title: 'Addresses', kind: 'addresses' },
  { key: 'score', title: 'Score', kind: 'none' },
  { key: 'detectors', title: 'Detectors', kind: 'text' },
  { key: 'countries', title: 'Countries', kind: 'text' },
  { key: 'firstSeen', title: 'First seen', kind: 'time' },
  { key: 'lastSeen', title: 'Last seen', kind: 'time' },
  { key: 'members', title: 'Members', kind: 'address' },
]

const ADDRESS_COLUMNS: Table['columns'] = [
  { key: 'address', title: 'Address', kind: 'address' },
  { key: 'severity', title: 'Severity', kind: 'enum' },
  { key: 'requests', title: 'Requests', kind: 'requests' },
  { key: 'reasons', title: 'Why', kind: 'text' },
  { key: 'status', title: 'Status', kind: 'enum' },
  { key: 'blocked', title: 'Blocked', kind: 'text' },
  { key: 'country', title: 'Country', kind: 'country' },
  { key: 'score', title: 'Score', kind: 'none' },
  { key: 'detectors', title: 'Detectors', kind: 'text' },
  { key: 'network', title: 'Network', kind: 'words' },
  { key: 'firstSeen', title: 'First seen', kind: 'time' },
  { key: 'lastSeen', title: 'Last seen', kind: 'time' },
]

export const suspiciousAddresses: MakeSection = async (work) => {
  const { scope, severities, suspicious, asker } = work
  const range = { from: scope.period.from.getTime(), to: scope.period.to.getTime() }
  const [counts, newcomers, suspects, campaigns] = await Promise.all([
    work.rows<{ current: Flag; severity: Severity; addresses: string }>('severities'),
    work.rows<{ severity: Severity; addresses: string }>('newcomers'),
    suspectsOf(work),
    suspicious.campaigns(range, asker),
  ])
  const numberOf = (of: readonly Severity[], isCurrent: boolean): number =>
    counts
      .filter(({ current, severity }) => Boolean(current) === isCurrent && of.includes(severity))
      .reduce((sum, { addresses }) => sum + Number(addresses), 0)
  const [now, then] = [numberOf(severities, true), numberOf(severities, false)]
  const fresh = newcomers
    .filter(({ severity }) => severities.includes(severity))
    .reduce((sum, { addresses }) => sum + Number(addresses), 0)

  const byAddress = new Map(suspects.map((suspect) => [suspect.address, suspect]))
  const grouped = campaigns
    .map((found) => ({ found, members: found.addresses.flatMap((address) => byAddress.get(address) ?? []) }))
    .filter(({ members }) => members.length > 0)
  const taken = new Set(grouped.flatMap(({ found }) => found.addresses))
  const alone = suspects.filter(({ address }) => !taken.has(address))
  const known = work.detectorQueries.detectors
  const inCampaigns = grouped
    .map(({ found, members }) => together(found, members, known))
    .toSorted((a, b) => Number(b['score']) - Number(a['score']) || Number(b['addresses']) - Number(a['addresses']))

  const open = suspects.filter(({ review, severity }) => review.status === 'OPEN' && rankOf(severity) >= rankOf('HIGH'))
  const unblocked = open.filter(({ isBlocked }) => !isBlocked).length
  const blockedWords =
    unblocked === 0
      ? ''
      : unblocked < open.length
        ? `; ${counted(unblocked, 'is', 'are')} not blocked`
        : `; ${unblocked === 1 ? 'it' : 'none of them'} is ${unblocked === 1 ? 'not ' : ''}blocked`
  const link = work.link('suspicious')
  const present = SEVERITIES.toReversed()
    .filter((severity) => severities.includes(severity))
    .map((severity) => ({ name: severity.toLowerCase(), addresses: numberOf([severity], true) }))
    .filter(({ addresses }) => addresses > 0)
  const [worstPresent] = present
  const members = grouped.reduce((sum, { members }) => sum + members.length, 0)
  const worst =
    grouped.length === 0
      ? ''
      : `, ${percent(members / suspects.length)} of them in ${counted(grouped.length, 'campaign')}`
  return {
    lead:
      now === 0
        ? `Nobody was flagged${then === 0 ? `, neither now nor ${before(scope.kind)}` : `; ${before(scope.kind)} it was ${counted(then, 'address', 'addresses')}`}.`
        : `${counted(now, 'address was', 'addresses were')} flagged (${listed(
            present.map(({ name, addresses }) => `${count(addresses)} ${name}`),
            4,
          )})${worst}; ${before(scope.kind)} it was ${counted(then, 'address', 'addresses')}, and ${counted(fresh, 'is', 'are')} new in 30 days.`,
    advice:
      open.length > 0
        ? `Review the ${counted(open.length, 'open address', 'open addresses')} of high or critical severity, campaigns first${blockedWords}.`
        : null,
    headline: {
      rank: 1,
      text: worstPresent
        ? `${counted(worstPresent.addresses, 'address', 'addresses')} of ${worstPresent.name} severity`
        : 'no suspicious addresses',
    },
    nothing: severities.length < SEVERITIES.length && now === 0,
    figures: [
      { label: 'Flagged addresses', value: now, unit: 'addresses', previous: then, more: 'bad', link },
      ...SEVERITIES.toReversed()
        .filter((severity) => severities.includes(severity))
        .map((severity) => ({
          label: `${severity.charAt(0)}${severity.slice(1).toLowerCase()}`,
          value: numberOf([severity], true),
          unit: 'addresses' as const,
          previous: numberOf([severity], false),
          more: 'bad' as const,
          link,
        })),
      { label: 'New in 30 days', value: fresh, unit: 'addresses', previous: null, more: 'bad', link },
      { label: 'Campaigns', value: grouped.length, unit: 'none', previous: null, more: 'bad', link },
    ],
    charts: [],
    tables: [
      { id: 'campaigns', title: 'Campaigns', columns: CAMPAIGN_COLUMNS, rows: inCampaigns, shown: 8, link },
      {
        id: 'top-suspicious-addresses',
        title: grouped.length === 0 ? 'Addresses' : 'Addresses in no campaign',
        columns: ADDRESS_COLUMNS,
        rows: alone.map((suspect) => single(suspect, known)),
        shown: 10,
        link,
      },
    ],
  }
}
