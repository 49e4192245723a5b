import { type Command, Option } from 'commander'

import { type Detector, DETECTOR_MODES, type DetectorMode, type DetectorQueries } from '../detection/index.ts'
import { detectorOf, parametersOf, withDetectors } from './detectors-access.ts'
import {
  changedOf,
  cut,
  percent,
  showBacktest,
  showExceptions,
  shownMode,
  shownValue,
  shownWindow,
  wrapped,
} from './detectors-text.ts'
import { CliError } from './errors.ts'
import { json, note, out, table } from './print.ts'
import { list as words, wholeNumber } from './values.ts'

const DAY_MS = 86_400_000
const LONGEST_DAYS = 60

const modeOf = (given: string): DetectorMode => given.toUpperCase().replaceAll('-', '_') as DetectorMode
/** The last `days` days, until now. */
const lastDays = (days: number): { from: Date; to: Date } => {
  if (days < 1 || days > LONGEST_DAYS)
    throw new CliError(`--days is ${days}; allowed is a whole number from 1 to ${LONGEST_DAYS}`, 2)
  return { from: new Date(Date.now() - days * DAY_MS), to: new Date() }
}

const asJson = (detector: Detector, { precision }: DetectorQueries, found?: number) => ({
  ...detector,
  values: undefined,
  sql: undefined,
  parameters: detector.parameters.map((parameter) => ({ ...parameter, value: detector.values[parameter.name] })),
  ...(found !== undefined && { found }),
  ...(precision().get(detector.id) ?? { confirmed: 0, falsePositives: 0, precision: null, interval: null }),
})

const showAll = (options: { days: number; json?: true }): Promise<void> =>
  withDetectors(async (queries) => {
    const { detectors, findings, precision } = queries
    const found = await findings(lastDays(options.days), { services: null, comment: 'vedette detectors list' })
    const problems = await detectors.problems()
    if (options.json)
      return json(
        detectors.list().map((detector) => ({
          ...asJson(detector, queries, found.get(detector.id) ?? 0),
          problem: problems.get(detector.id) ?? null,
        })),
      )
    const known = precision()
    table(
      detectors.list().map((detector) => ({
        id: detector.id,
        mode: shownMode(detector.mode),
        severity: detector.severity.toLowerCase(),
        window: shownWindow(detector.windowSeconds),
        [`found in ${options.days}d`]: found.get(detector.id) ?? 0,
        confirmed: known.get(detector.id)?.confirmed ?? 0,
        false: known.get(detector.id)?.falsePositives ?? 0,
        precision: percent(known.get(detector.id)?.precision),
        set: [...(detector.own ? ['own'] : []), changedOf(detector)].join(' ').trim(),
      })),
    )
    for (const [id, problem] of problems) note(`${id} is passed over: ${problem}`)
  })

const showOne = (id: string, options: { json?: true }): Promise<void> =>
  withDetectors(async (queries) => {
    const detector = detectorOf(queries, id)
    if (options.json) return json(asJson(detector, queries))
    out(`${detector.name} (${detector.id})`)
    out('')
    for (const line of wrapped(detector.description)) out(line)
    out('')
    const known = queries.precision().get(id)
    const facts: [string, string][] = [
      ['mode', shownMode(detector.mode)],
      ['severity', detector.severity.toLowerCase()],
      ['window', `${shownWindow(detector.windowSeconds)}, counted in ${detector.unit}`],
      [
        'precision',
        known?.interval
          ? `${percent(known.precision)} (${percent(known.interval.low)} to ${percent(known.interval.high)}): ${known.confirmed} confirmed, ${known.falsePositives} false`
          : 'nobody has reviewed what it flagged',
      ],
      ['file', detector.path],
      ...detector.references.map((url, index): [string, string] => [index === 0 ? 'see' : '', url]),
    ]
    for (const [name, fact] of facts) out(`${name.padEnd(11)}${fact}`)
    if (detector.parameters.length > 0) {
      out('')
      table(
        detector.parameters.map(({ name, default: value, min, max, description }) => ({
          parameter: name,
          value: cut(shownValue(detector.values[name]!), 40),
          default: cut(shownValue(value), 40),
          allowed: min === undefined ? '' : `${min} to ${max}`,
          'what it is': description,
        })),
      )
    }
    if (detector.exceptions.length === 0) return
    out('')
    showExceptions(detector.exceptions)
  })

const set = (id: string, options: { mode?: string; param: string[]; reset: string[]; json?: true }): Promise<void> =>
  withDetectors(async (queries) => {
    const before = detectorOf(queries, id)
    const parameters = {
      ...parametersOf(before, options.param),
      ...Object.fromEntries(options.reset.map((name) => [name, null])),
    }
    if (options.mode === undefined && Object.keys(parameters).length === 0)
      throw new CliError('there is nothing to set; give --mode, --param name=value or --reset name', 2)
    const detector = await queries.detectors.set(
      id,
      { ...(options.mode !== undefined && { mode: modeOf(options.mode) }), parameters },
      { by: 'cli' },
    )
    if (options.json) return json(asJson(detector, queries))
    out(`${id} is ${shownMode(detector.mode)}, ${changedOf(detector) || 'with the parameters of its file'}`)
    note('The hour that is closed next is judged by it.')
  })

const backtest = (id: string, options: { param: string[]; days: number; json?: true }): Promise<void> =>
  withDetectors(async (queries) => {
    const parameters = parametersOf(detectorOf(queries, id), options.param)
    const timeRange = lastDays(options.days)
    const asker = { services: null, comment: 'vedette detectors backtest' }
    const found = await queries.backtest({ id, parameters, timeRange }, asker)
    if (options.json) json(found)
    else showBacktest(queries.detectors.withParameters(id, parameters), options.days, found)
  })

const except = (
  id: string | undefined,
  options: { cidr?: string; path?: string; note: string; json?: true },
): Promise<void> =>
  withDetectors(async (queries) => {
    if (id !== undefined) detectorOf(queries, id)
    const exception = await queries.detectors.addException(
      { detector: id, cidr: options.cidr, pathPattern: options.path, note: options.note },
      { by: 'cli' },
    )
    if (options.json) json(exception)
    else showExceptions([exception])
  })

const unexcept = (ids: readonly string[]): Promise<void> =>
  withDetectors(async ({ detectors }) => {
    for (const id of ids) {
      const { detector, note } = await detectors.removeException(id, { by: 'cli' })
      out(`${id} (${detector === '*' ? 'every detector' : detector}: ${note}) holds no more`)
    }
  })

const JSON_OPTION = ['--json', 'print it as JSON'] as const
const PARAM = [
  '-p, --param <name=value>',
  'a parameter, several by giving it again; a list with commas or as JSON',
] as const
const collect = (given: string, before: readonly string[]): string[] => [...before, given]

/** `vedette detectors list|show|set|backtest|exceptions|except|unexcept` */
export const detectors = (program: Command): void => {
  const group = program
    .command('detectors')
    .description('what looks for anomalies, how it is set, and what it would have found')
    .helpCommand(false)
  group
    .command('list')
    .description('the detectors, what they found and how often they were right')
    .option('-d, --days <number>', 'how far findings are counted back', wholeNumber, 7)
    .option(...JSON_OPTION)
    .action(showAll)
  group
    .command('show')
    .description('what a detector catches, and its parameters')
    .argument('<id>', 'from vedette detectors list')
    .option(...JSON_OPTION)
    .action(showOne)
  group
    .command('set')
    .description('set the mode or parameters of a detector')
    .argument('<id>', 'from vedette detectors list')
    .addOption(new Option('-m, --mode <mode>', 'what becomes of what it finds').choices(DETECTOR_MODES.map(shownMode)))
    .option(...PARAM, collect, [])
    .option('--reset <name>', "a parameter that is to be as the detector's file has it, several with commas", words, [])
    .option(...JSON_OPTION)
    .addHelpText(
      'after',
      '\nExample:\n  $ vedette detectors set not_found_probing --mode flag-and-block --param paths=20',
    )
    .action(set)
  group
    .command('backtest')
    .description('what a detector would have flagged in the past, with other parameters; nothing is changed')
    .argument('<id>', 'from vedette detectors list')
    .option(...PARAM, collect, [])
    .option('-d, --days <number>', `how far back, ${LONGEST_DAYS} at most`, wholeNumber, 7)
    .option(...JSON_OPTION)
    .action(backtest)
  group
    .command('exceptions')
    .description('what detectors leave alone, newest first')
    .option(...JSON_OPTION)
    .action((options: { json?: true }) =>
      withDetectors(async ({ detectors }) => {
        const exceptions = detectors.exceptions()
        if (options.json) json(exceptions)
        else if (exceptions.length === 0) note('Nothing is excepted.')
        else showExceptions(exceptions)
      }),
    )
  group
    .command('except')
    .description('have a detector, or every one, leave addresses or paths alone')
    .argument('[id]', 'from vedette detectors list (default: every detector)')
    .option('--cidr <cidr>', 'addresses, IPv4 or IPv6')
    .option('--path <pattern>', 'paths, as policies have them: /healthz, /api/*; with --cidr: where these ask for them')
    .requiredOption('-n, --note <text>', 'why, for those who look at it later')
    .option(...JSON_OPTION)
    .action(except)
  group
    .command('unexcept')
    .description('end exceptions')
    .argument('<exception...>', 'such as exc_4f1b2c3d4e5f, from vedette detectors exceptions')
    .action(unexcept)
}
