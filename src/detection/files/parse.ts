import { ConfigError } from '../../config.ts'
import { DETECTOR_MODES, type DetectorFile, type DetectorParameter, SEVERITIES } from '../types.ts'
import { parseAggregates } from './aggregates.ts'
import { type Entry, type Key, type Misfit, readHeader } from './header.ts'
import { INSTANTS, parseParameter } from './parameter.ts'
import { refuse } from './refusals.ts'
import { tokensOf, withoutComments } from './tokens.ts'

/** A detector's file that does not fit. The message names the file, the line, what was given and what is allowed. */
export class DetectorError extends ConfigError {
  override name = 'DetectorError'
}

const SECONDS: Record<string, number> = { h: 3_600, d: 86_400 }
const HOUR = 3_600
const LONGEST_DAYS = 60

/** What a statement reads, told by its words outside strings. */
const stageOf = (sql: string): DetectorFile['stage'] => {
  const words = new Set(tokensOf(withoutComments(sql)))
  if (words.has('findings')) return 'findings'
  return [...words].some((word) => word.toUpperCase() === 'FROM') ? 'statement' : 'requests'
}

type Fail = (line: number | undefined, message: string) => never

/** The keys of a header, each asked for as it is needed. */
const createKeys = (entries: readonly Entry[], fail: Fail) => {
  const all = (key: Key) => entries.filter((entry) => entry.key === key)
  const one = (key: Key, fallback?: string): { value: string; line: number | undefined } => {
    const [first, second] = all(key)
    if (second) fail(second.line, `${key} is given twice`)
    if (!first && fallback === undefined) fail(1, `the header lacks "-- ${key}: …"`)
    return first ?? { value: fallback!, line: undefined }
  }
  const choice = <T extends string>(key: Key, allowed: readonly T[], fallback?: T): T => {
    const { value, line } = one(key, fallback)
    return allowed.find((item) => item === value) ?? fail(line, `${key} is ${value}; allowed is ${allowed.join(', ')}`)
  }
  const windowSeconds = (): number => {
    const { value, line } = one('window')
    const [, amount, unit] = /^(\d{1,4})(h|d)$/.exec(value) ?? []
    const seconds = Number(amount) * SECONDS[unit ?? 'h']!
    return seconds >= HOUR && seconds <= LONGEST_DAYS * SECONDS['d']!
      ? seconds
      : fail(line, `window is ${value}; allowed are hours and days from 1h to ${LONGEST_DAYS}d, such as 24h or 7d`)
  }
  return { all, one, choice, windowSeconds }
}

interface Placed {
  parameter: DetectorParameter
  line: number
}

/** Every `{name:Type}` is a parameter of the header or an instant, and every parameter is used. */
const checkUse = (
  sql: { text: string; line: number },
  evidence: Entry | undefined,
  parameters: readonly Placed[],
  fail: Fail,
): void => {
  const types = new Map(parameters.map(({ parameter: { name, type } }) => [name, type]))
  const used = new Set<string>()
  const look = (text: string, firstLine: number): void => {
    let line = firstLine
    for (const token of tokensOf(text)) {
      const [, name, type] = /^\{(\w+):([^{}]*)\}$/.exec(token) ?? []
      if (name !== undefined && !INSTANTS.includes(name)) {
        const declared = types.get(name)
        if (declared === undefined) fail(line, `${token} is used; the header has no "-- parameter: ${name} …"`)
        if (declared !== type!.trim()) fail(line, `${token} is used; the header says that ${name} is ${declared}`)
        used.add(name)
      }
      line += token.split('\n').length - 1
    }
  }
  look(sql.text, sql.line)
  if (evidence) look(evidence.value, evidence.line)
  for (const { parameter, line } of parameters) {
    const { name, type } = parameter
    if (!used.has(name)) fail(line, `the parameter ${name} is not used; write {${name}:${type}} in the SQL`)
  }
}

/**
 * Reads a detector.
 * @param path for messages; the file's name without `.sql` is the detector's id
 * @param own whether it is an operator's
 * @throws {DetectorError}
 */
export const parseDetector = (path: string, text: string, own: boolean): DetectorFile => {
  const fail: Fail = (line, message) => {
    throw new DetectorError(`${path}${line === undefined ? '' : `:${line}`}: ${message}`)
  }
  const check = (misfit: Misfit | undefined): void => {
    if (misfit) fail(misfit.line, misfit.message)
  }

  const id = path.replace(/^.*[/\\]/, '').replace(/\.sql$/, '')
  if (!/^[a-z][a-z0-9_]{1,60}$/.test(id))
    fail(undefined, `the file is named ${id}; allowed are 2 to 61 lower-case letters, digits and _, a letter first`)
  const header = readHeader(text)
  if ('message' in header) return fail(header.line, header.message)
  const { description, entries, sql, sqlLine } = header
  const { all, one, choice, windowSeconds } = createKeys(entries, fail)
  if (description === '') fail(1, 'the header does not begin with what the detector catches, and why')
  const window = one('window')
  const seconds = windowSeconds()
  const references = all('reference').map(({ value, line }) =>
    URL.canParse(value) ? value : fail(line, `reference is ${value}; allowed is a URL`),
  )
  const parameters = all('parameter').map(({ value, line }) => {
    const parameter = parseParameter(value)
    return typeof parameter === 'string' ? fail(line, parameter) : { parameter, line }
  })
  for (const [index, { parameter, line }] of parameters.entries())
    if (parameters.slice(0, index).some((other) => other.parameter.name === parameter.name))
      fail(line, `parameter ${parameter.name} is given twice`)

  if (sql === '') fail(sqlLine, 'there is no SQL below the header')
  check(refuse(sql, { own, firstLine: sqlLine }))
  const [evidenceEntry] = all('evidence')
  if (evidenceEntry) check(refuse(evidenceEntry.value, { own, firstLine: evidenceEntry.line }))
  checkUse({ text: sql, line: sqlLine }, evidenceEntry, parameters, fail)

  const stage = stageOf(sql)
  let evidence = one('evidence', '').value
  if (stage === 'requests') {
    const aggregates = parseAggregates(sql)
    if (typeof aggregates === 'string') return fail(sqlLine, aggregates)
    if (seconds !== HOUR)
      fail(
        window.line,
        `window is ${window.value}; allowed is 1h, since SQL without FROM shares the pass over the hour`,
      )
    if (evidenceEntry)
      fail(evidenceEntry.line, 'evidence is for SQL with a FROM; here give the name evidence to an expression of WITH')
    if (aggregates.columns.some(({ name }) => name === 'evidence')) evidence = 'evidence'
  }
  const probe = choice('probe', ['yes', 'no'], 'no') === 'yes'
  if (probe && evidence === '') fail(one('probe').line, 'probe is yes; it needs evidence, which tells what is a probe')
  return {
    id,
    name: one('name').value,
    description,
    severity: choice('severity', SEVERITIES),
    mode: choice('mode', DETECTOR_MODES, 'FLAG'),
    windowSeconds: seconds,
    unit: one('unit', 'requests').value,
    references,
    parameters: parameters.map(({ parameter }) => parameter),
    own,
    stage,
    path,
    sql,
    evidence,
    probe,
  }
}
