import { join } from 'node:path'

import { table } from '../../../src/demo/table.ts'
import type { Fail2ban } from './fail2ban.ts'
import type { Lab } from './lab.ts'
import { runOriginal } from './original.ts'
import { counted, MATCHING, readScenarios, type ScenarioTest, SILENCED } from './scenario-tests.ts'
import { HOSTILE, UNSEEN } from './scenario-notes.ts'
import { scoreOf, scoreTable } from './table.ts'

const keyOf = (test: ScenarioTest, address: string): string => `${test.name} ${address}`

const setOf = (keys: Iterable<string | undefined>): Set<string> =>
  new Set([...keys].filter((key): key is string => key !== undefined))

/** The scenario tests of the CrowdSec hub: what of it we find, test by test, and what the others find. */
export const benchScenarios = async (lab: Lab, data: string, fail2ban: Fail2ban | undefined): Promise<void> => {
  const tests = await readScenarios(join(data, 'scenarios'))
  await lab.empty()
  await lab.insert(tests.flatMap(({ rows }) => rows))
  const spent = await lab.closeHours()
  const keys = new Map(
    tests.flatMap((test) => [...test.addresses].map(([alias, ip]) => [alias, keyOf(test, ip)] as const)),
  )
  /** `test address` → the detectors that flag it. */
  const flags = new Map<string, Set<string>>()
  for (const { address, detector, mode } of await lab.findings()) {
    const key = keys.get(address)
    if (key === undefined || mode === 'REPORT_ONLY') continue
    flags.set(key, (flags.get(key) ?? new Set()).add(detector))
  }
  const detectorsOf = (key: string): string[] => [...(flags.get(key) ?? [])].sort()

  const named = tests.flatMap((test) =>
    [...test.named].map(([ip, scenarios]) => {
      const key = keyOf(test, ip)
      return { test, key, scenarios, unseen: UNSEEN[key] ?? UNSEEN[test.name] }
    }),
  )
  const visible = named.filter(({ unseen }) => unseen === undefined)
  const isFound = ({ key }: { key: string }): boolean => flags.has(key)

  console.log(
    `\nScenario tests of the CrowdSec hub: ${tests.length} tests, ${tests.reduce((sum, { rows }) => sum + rows.length, 0)} requests read of ${tests.reduce((sum, { lines }) => sum + lines, 0)} lines; our detectors took ${(spent / 1_000).toFixed(1)} s\n`,
  )
  console.log(
    table(
      'Tests that expect an alert',
      named,
      [
        { title: 'test', value: ({ test }) => test.name },
        { title: 'address', value: ({ key }) => key.split(' ')[1]! },
        { title: 'CrowdSec expects', value: ({ scenarios }) => [...new Set(scenarios)].join(', ') },
        { title: 'flagged by', value: ({ key }) => detectorsOf(key).join(', ') || '–' },
        { title: '', value: (each) => (isFound(each) ? 'ok' : each.unseen ? 'not to be seen' : 'MISSED') },
      ],
      150,
    ),
  )
  for (const { key, unseen } of named) if (unseen) console.log(`  not to be seen: ${key}: ${unseen}`)
  const testNames = [...new Set(visible.map(({ test }) => test.name))]
  const foundTests = testNames.filter((name) => visible.filter(({ test }) => test.name === name).every(isFound))
  console.log(
    `\n  ${foundTests.length} of ${testNames.length} tests whose attack shows are flagged for every named address (${((100 * foundTests.length) / testNames.length).toFixed(1)} %)`,
  )

  const quiet = tests.filter((test) => test.named.size === 0)
  const wrong = quiet.flatMap((test) => {
    const matching = [...(SILENCED[test.name] ?? []), ...test.scenarios.flatMap((each) => MATCHING[each] ?? [])]
    return [...flags].flatMap(([key, detectors]) =>
      key.startsWith(`${test.name} `) ? matching.filter((id) => detectors.has(id)).map((id) => `${key}: ${id}`) : [],
    )
  })
  console.log(
    `  ${wrong.length} flags by a matching detector on the ${quiet.length} tests that expect none${wrong.length > 0 ? `: ${wrong.join('; ')}` : ''}\n`,
  )
  const others = [...flags.keys()].filter((key) => !named.some((each) => each.key === key)).sort()
  console.log(
    table(
      'Flags for addresses that no test names',
      others,
      [
        { title: 'test', value: (key) => key.split(' ')[0]! },
        { title: 'address', value: (key) => key.split(' ')[1]! },
        { title: 'flagged by', value: (key) => detectorsOf(key).join(', ') },
        { title: 'why', value: (key) => HOSTILE[key] ?? 'NOT DEFENDED' },
      ],
      120,
    ),
  )

  const positives = new Set(visible.map(({ key }) => key))
  const neither = new Set([...Object.keys(HOSTILE), ...named.map(({ key }) => key)])
  const score = (name: string, flagged: ReadonlySet<string>) => scoreOf(name, flagged, positives, neither)
  const unlike: string[] = []
  const own = lab.detectors.map(({ id }) => {
    const flagged = new Set([...flags].filter(([, detectors]) => detectors.has(id)).map(([key]) => key))
    const missed = visible
      .filter(({ key, scenarios }) => scenarios.some((each) => MATCHING[each]?.includes(id)) && !flagged.has(key))
      .map(({ key }) => key)
    unlike.push(...missed.map((key) => `${key}: not by ${id}, but by ${detectorsOf(key).join(', ') || 'none'}`))
    return { ...scoreOf(id, flagged, positives, neither), missed: missed.length }
  })
  console.log()
  console.log(
    scoreTable(
      'By detector, in pairs of a test and an address (missed: of those whose scenario it matches)',
      own.filter(({ truePositives, falsePositives, missed }) => truePositives + falsePositives + missed > 0),
    ),
  )
  for (const each of unlike) console.log(`  ${each}`)
  const original = await runOriginal(lab.clickhouse)
  const scores = [
    score('Vedette', new Set(flags.keys())),
    score('the original', setOf(original.map(({ address }) => keys.get(counted(address))))),
  ]
  if (fail2ban) {
    const { bans } = await fail2ban.run(tests.flatMap(({ rows }) => rows))
    scores.push(score('fail2ban', setOf(bans.map(({ address }) => keys.get(counted(address))))))
  }
  console.log()
  console.log(scoreTable('All together', scores))
}
