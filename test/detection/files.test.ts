import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { DetectorError, parseDetector, readDetectors } from '../../src/detection/index.ts'

const HEADER = `-- Tries one door after the other,
-- as thieves do.
--
-- Quiet about visitors.
--
-- name: Doors
-- severity: HIGH
-- mode: REPORT_ONLY
-- window: 1h
-- unit: doors
-- probe: yes
-- parameter: doors UInt32 = 5 [2, 100] different doors
--   that were tried
-- parameter: words Array(String) = ['door', 'it\\'s [a] gate'] what a door is called
-- parameter: share Float64 = 0.5 [0, 1] of all requests
-- parameter: host String = 'a b' whose doors
-- reference: https://example.com/doors
-- reference: https://example.com/thieves
`
const SQL = `WITH hasAny(splitByChar('/', path), {words:Array(String)}) AND host != {host:String} AS evidence
SELECT uniqExactIf(path, evidence) AS observed, {doors:UInt32} AS threshold -- a comment; with {this}
HAVING countIf(evidence) > {share:Float64} * count();
`
const STATEMENT = `-- Knocks.
-- name: Knocks
-- severity: LOW
-- window: 24h
-- parameter: knocks UInt32 = 5 [2, 100] knocks
WITH knocking AS (SELECT requests.address, count() AS knocks FROM requests GROUP BY address)
SELECT address, max(knocks) AS observed, {knocks:UInt32} AS threshold FROM knocking GROUP BY address
`

const parse = (text: string, path = 'mine/doors.sql') => parseDetector(path, text, true)

it('reads what a header says, over several lines too', () => {
  expect(parse(HEADER + SQL)).toEqual({
    id: 'doors',
    name: 'Doors',
    description: 'Tries one door after the other, as thieves do.\n\nQuiet about visitors.',
    severity: 'HIGH',
    mode: 'REPORT_ONLY',
    windowSeconds: 3_600,
    unit: 'doors',
    references: ['https://example.com/doors', 'https://example.com/thieves'],
    parameters: [
      { name: 'doors', type: 'UInt32', default: 5, min: 2, max: 100, description: 'different doors that were tried' },
      {
        name: 'words',
        type: 'Array(String)',
        default: ['door', "it's [a] gate"],
        min: undefined,
        max: undefined,
        description: 'what a door is called',
      },
      { name: 'share', type: 'Float64', default: 0.5, min: 0, max: 1, description: 'of all requests' },
      { name: 'host', type: 'String', default: 'a b', min: undefined, max: undefined, description: 'whose doors' },
    ],
    own: true,
    stage: 'requests',
    path: 'mine/doors.sql',
    sql: SQL.trim(),
    evidence: 'evidence',
    probe: true,
  })
})

it('tells by the SQL how a detector is run, and fills in what a header leaves out', () => {
  const statement = parse(STATEMENT.replaceAll('\n', '\r\n'), 'C:\\mine\\knocks.sql')
  expect(statement).toMatchObject({ id: 'knocks', stage: 'statement', windowSeconds: 86_400, mode: 'FLAG' })
  expect(statement).toMatchObject({ unit: 'requests', evidence: '', probe: false, references: [] })
  expect(parse(STATEMENT.replace('FROM requests', 'FROM findings')).stage).toBe('findings')
  expect(parse(HEADER + SQL.replace("'/'", "' FROM findings '")).stage).toBe('requests')
})

describe('a mistake is one message with file and line, what was given and what is allowed', () => {
  const header = (from: string | RegExp, to: string) => HEADER.replace(from, to) + SQL
  const body = (from: string | RegExp, to: string) => HEADER + SQL.replace(from, to)
  const statement = (from: string | RegExp, to: string) => STATEMENT.replace(from, to)

  it.each<[what: string, text: string, message: string]>([
    ['no severity', header(/-- severity.*\n/, ''), 'doors.sql:1: the header lacks "-- severity: …"'],
    ['no description', STATEMENT.replace('-- Knocks.\n', ''), ':1: the header does not begin with what'],
    ['an unknown severity', header('HIGH', 'WORST'), ':7: severity is WORST; allowed is LOW, MEDIUM, HIGH, CRITICAL'],
    ['an unknown mode', header('REPORT_ONLY', 'BAN'), ':8: mode is BAN; allowed is OFF, REPORT_ONLY, FLAG, FLAG_AND_'],
    ['half an hour', header('window: 1h', 'window: 30m'), ':9: window is 30m; allowed are hours and days from 1h to'],
    ['a year', statement('24h', '365d'), ':4: window is 365d; allowed are hours and days from 1h to 60d, such as'],
    ['a day without FROM', header('window: 1h', 'window: 1d'), ':9: window is 1d; allowed is 1h, since SQL without'],
    ['a key twice', header('unit: doors', 'window: 1h'), ':10: window is given twice'],
    ['a key misspelt', header('unit: doors', 'units: doors'), ':10: "units: doors" is no key; allowed below the descr'],
    ['a key without value', header('unit: doors', 'unit:'), ':10: "unit:" is no key; allowed below the description'],
    ['a word for a URL', header('https://example.com/doors', 'doors'), ':17: reference is doors; allowed is a URL'],
    ['a parameter without default', header('= 5 [', '['), ':12: parameter is "doors UInt32 [2, 100] different doors'],
    ['a parameter without description', header('whose doors', ''), `:16: parameter is "host String = 'a b'"; allowed`],
    ['a type of no use', header('UInt32 =', 'Date ='), ':12: the type of parameter doors is Date; allowed is UInt8, '],
    ['a number without range', header('5 [2, 100]', '5'), ':12: the range of parameter doors is missing; allowed is'],
    ['a range upside down', header('[2, 100]', '[100, 2]'), ':12: the range of parameter doors is [100, 2]; allowed'],
    ['a range beyond its type', header('[2, 100]', '[-2, 100]'), ':12: the range of parameter doors is [-2, 100]; all'],
    ['a default beyond its range', header('5 [', '1 ['), ':12: the default of parameter doors is 1; allowed is a who'],
    ['a broken whole number', header('5 [', '5.5 ['), ':12: the default of parameter doors is 5.5; allowed is a whole'],
    ['a range of a text', header("'a b'", "'a b' [1, 2]"), ':16: the range of parameter host is [1, 2]; allowed is no'],
    ['a text without quotes', header("'a b'", 'ab'), ':16: the default of parameter host is ab; allowed is a text s'],
    ['a text for a list', header(/= \['door.*\]/, "= 'door'"), ":14: the default of parameter words is 'door'; allow"],
    ['a name that is taken', header('host String', 'from String'), ':16: a parameter is named from; allowed is any'],
    ['a parameter twice', header('host String', 'words String'), ':16: parameter words is given twice'],
    ['a parameter not used', body('{host:String}', "'x'"), ':16: the parameter host is not used; write {host:String}'],
    ['a parameter not there', body('{host:', '{hosts:'), ':19: {hosts:String} is used; the header has no "-- paramete'],
    ['another type in use', body('{doors:UInt32}', '{doors:Int8}'), ':20: {doors:Int8} is used; the header says that'],
    ['no SQL', HEADER, ':19: there is no SQL below the header'],
    ['no observed', body('AS observed', 'AS seen'), ':19: its SELECT lacks observed'],
    ['a nameless expression', body('AS threshold', ''), ':19: each expression of SELECT needs a name: expression AS'],
    [
      'evidence beside WITH',
      header('unit: doors', 'evidence: page'),
      ':10: evidence is for SQL with a FROM; here give',
    ],
    ['a probe without evidence', statement('24h', '24h\n-- probe: yes'), ':5: probe is yes; it needs evidence'],
    ['a file of capitals', '', 'Doors.sql: the file is named Doors; allowed are 2 to 61 lower-case letters'],
  ])('%s', (what, text, message) => {
    const path = what === 'a file of capitals' ? 'mine/Doors.sql' : 'mine/doors.sql'
    const act = () => parse(text, path)
    expect(act).toThrow(DetectorError)
    expect(act).toThrow(message)
    expect(act).toThrow(/^mine\/[^\n]*$/)
  })
})

describe('a slip of the hand does no harm', () => {
  it.each<[sql: string, message: string]>([
    ['SELECT 1 AS observed, 1 AS threshold; DROP TABLE x', ':5: there is a second statement; a detector is one'],
    ['INSERT INTO x SELECT 1 AS observed FROM requests', ':5: INSERT is not allowed'],
    ['SELECT 1 AS observed, 1 AS threshold\nFROM requests SETTINGS max_threads = 1', ':6: SETTINGS is not allowed'],
    ["SELECT 1 AS observed FROM requests INTO OUTFILE 'x'", ':5: INTO is not allowed'],
    ['ALTER TABLE x DELETE WHERE true', ':5: ALTER is not allowed'],
    ['truncate table x', ':5: truncate is not allowed'],
    ['SYSTEM SHUTDOWN', ':5: SYSTEM is not allowed'],
    ["SELECT * FROM url('http://example.com')", ':5: url() is not allowed: a detector reads its window and nothing'],
    ["SELECT length(file('/etc/passwd')) AS observed, 1 AS threshold", ':5: file() is not allowed'],
    ["SELECT * FROM requests, remoteSecure('x', y)", ':5: remoteSecure() is not allowed'],
    ["SELECT * FROM s3Cluster('x')", ':5: s3Cluster() is not allowed'],
    ["SELECT * FROM mysql('x')", ':5: mysql() is not allowed'],
    ["SELECT * FROM executable('x', 'TSV', 'y String')", ':5: executable() is not allowed'],
    ["SELECT dictGet('x', 'y', 1) AS observed, 1 AS threshold", ':5: dictGet() is not allowed'],
    ['SELECT sleepEachRow(3) AS observed, 1 AS threshold', ':5: sleepEachRow() is not allowed'],
    ['SELECT * FROM system.tables', ':5: it reads system.tables; allowed are requests, address_hours, probes,'],
    ['SELECT * FROM requests\nJOIN request_logs USING (ip)', ':6: it reads request_logs; allowed are requests'],
    ['SELECT * FROM "system"."tables"', ':5: " is not read here; texts stand in'],
    ['SELECT 1 AS observed /* */, 1 AS threshold', ':5: /* is not read here'],
    ["SELECT 'open AS observed, 1 AS threshold", ":5: ' is not read here"],
    ['SELECT 1) AS observed FROM (SELECT 1 AS threshold', ':5: ) closes nothing'],
    ['SELECT (1 AS observed, 1 AS threshold', ':5: a ( is never closed'],
  ])('%s', (sql, message) => {
    const text = `-- Slips.\n-- name: Slips\n-- severity: LOW\n-- window: 1h\n${sql}`
    expect(() => parse(text, 'slips.sql')).toThrow(`slips.sql${message}`)
  })

  it('nor are words in texts, comments, columns and our own tables taken for one', () => {
    const sql = `SELECT countIf(match(path, ';|DROP|url(') OR method = 'DELETE') AS observed, 1 AS threshold -- INSERT; url(
      FROM requests ARRAY JOIN splitByChar('/', path) AS part`
    expect(parse(`-- Slips.\n-- name: Slips\n-- severity: LOW\n-- window: 1h\n${sql}`, 'slips.sql').stage).toBe(
      'statement',
    )
  })
})

describe('a folder of own detectors', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vedette-detectors-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it('adds to ours and takes the place of those of the same id', async () => {
    const ours = await readDetectors()
    expect([...ours.keys()]).toEqual([...ours.keys()].toSorted())
    expect([...ours.values()].filter(({ own }) => own)).toEqual([])
    await writeFile(join(folder, 'doors.sql'), HEADER + SQL)
    await writeFile(join(folder, 'not_found_probing.sql'), STATEMENT)
    await writeFile(join(folder, '.doors.sql.swp.sql'), 'left behind by an editor')
    await writeFile(join(folder, 'README.md'), 'not SQL')
    const all = await readDetectors(folder)
    expect([...all.keys()]).toEqual([...ours.keys(), 'doors'].toSorted())
    expect(all.get('not_found_probing')).toMatchObject({ own: true, name: 'Knocks' })
    expect(all.get('doors')).toMatchObject({ own: true, path: join(folder, 'doors.sql') })
  })

  it('that cannot be read is said with its path and the setting', async () => {
    await expect(readDetectors(join(folder, 'none'))).rejects.toThrow(/none cannot be read \(ENOENT.*DETECTORS_DIR$/)
    await mkdir(join(folder, 'folder.sql'))
    await expect(readDetectors(folder)).rejects.toThrow(/folder\.sql cannot be read \(EISDIR.*DETECTORS_DIR$/)
  })
})
