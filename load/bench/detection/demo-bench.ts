import { generateDay } from '../../../src/demo/index.ts'
import { count, percent, table } from '../../../src/demo/table.ts'
import type { LogRow } from '../../../test/support/request-logs.ts'
import { type DemoMeasure, measureDemo } from './demo.ts'
import type { Fail2ban } from './fail2ban.ts'
import { openLab } from './lab.ts'
import { runOriginal } from './original.ts'
import { counted } from './scenario-tests.ts'
import { type Score, scoreOf, scoreTable } from './table.ts'

/** The day on which measureDemo attacks. */
const ATTACKED = new Date('2026-11-19T00:00:00Z')

const numbers = { right: true as const }

const printMeasure = ({ rows, totals, wrong, missed }: DemoMeasure): void => {
  console.log(
    table('\nDemo traffic, by detector, all seeds together', rows, [
      {
        title: 'detector',
        value: ({ detector, mode }) => (mode === 'REPORT_ONLY' ? `${detector} (report)` : detector),
      },
      { title: 'attackers', value: ({ attackers }) => count(attackers), ...numbers },
      { title: 'true positives', value: ({ flagged }) => count(flagged), ...numbers },
      { title: 'missed', value: ({ attackers, flagged }) => count(attackers - flagged), ...numbers },
      { title: 'by all', value: ({ missedByAll }) => count(missedByAll), ...numbers },
      { title: 'other attackers', value: ({ others }) => count(others), ...numbers },
      { title: 'false positives', value: (row) => count(row.wrong), ...numbers },
      {
        title: 'precision',
        value: (row) => {
          const all = row.flagged + row.others + row.wrong
          return percent(all === 0 ? null : 1 - row.wrong / all)
        },
        ...numbers,
      },
      {
        title: 'recall',
        value: ({ attackers, flagged }) => percent(attackers === 0 ? null : flagged / attackers),
        ...numbers,
      },
    ]),
  )
  console.log(
    table('\nDemo traffic, by address', totals, [
      { title: 'seed', value: ({ seed }) => String(seed), ...numbers },
      { title: 'requests', value: ({ requests }) => count(requests), ...numbers },
      { title: 'attackers', value: ({ attackers }) => count(attackers), ...numbers },
      { title: 'true positives', value: ({ flagged }) => count(flagged), ...numbers },
      { title: 'false positives', value: (each) => count(each.wrong), ...numbers },
      { title: 'missed', value: ({ attackers, flagged }) => count(attackers - flagged), ...numbers },
      { title: 'precision', value: ({ precision }) => percent(precision), ...numbers },
      { title: 'recall', value: ({ recall }) => percent(recall), ...numbers },
    ]),
  )
  for (const { seed, address, kinds, requests } of missed)
    console.log(`  missed: seed ${seed}, ${address}: ${kinds.join(', ')}, ${count(requests)} requests`)
  for (const { seed, address, detector, observed, target, details } of wrong)
    console.log(`  wrong: seed ${seed}, ${address}: ${detector}, observed ${observed}, ${target} ${details}`)
}

/** The original's rules and fail2ban on the same attacked day. */
const scorePeers = async (seed: number, fail2ban: Fail2ban | undefined): Promise<Score[]> => {
  const day = generateDay({ seed, day: ATTACKED })
  const rows = day.events().map((event): LogRow => ({ ...event, timestamp: new Date(event.timestamp) }))
  const attackers = new Set(day.truth.attackers.map(({ ip }) => counted(ip)))
  const score = (name: string, flagged: readonly { address: string }[]) =>
    scoreOf(name, new Set(flagged.map(({ address }) => counted(address))), attackers)
  const lab = await openLab()
  try {
    await lab.insert(rows)
    const flags = await runOriginal(lab.clickhouse)
    const scores = [
      score('the original', flags),
      score(
        '  over 100 an hour',
        flags.filter(({ rule }) => rule === 'volume'),
      ),
      score(
        '  sensitive paths',
        flags.filter(({ rule }) => rule === 'path'),
      ),
    ]
    return fail2ban ? [...scores, score('fail2ban', (await fail2ban.run(rows)).bans)] : scores
  } finally {
    await lab.close()
  }
}

/** Days of made-up traffic whose attackers are known. */
export const benchDemo = async (seeds: readonly number[], fail2ban: Fail2ban | undefined): Promise<void> => {
  const measure = await measureDemo(seeds)
  printMeasure(measure)
  const [first] = measure.totals
  if (!first) return
  const own: Score = {
    name: 'Vedette',
    truePositives: first.flagged,
    falsePositives: first.wrong,
    missed: first.attackers - first.flagged,
  }
  console.log(
    scoreTable(`\nDemo traffic, seed ${first.seed}, next to others`, [
      own,
      ...(await scorePeers(first.seed, fail2ban)),
    ]),
  )
}
