import { describe, expect, test } from 'vitest'

import { EngineError, statusOf, toEngineError } from '../../src/clickhouse/embedded/error.ts'
import { createLane } from '../../src/clickhouse/embedded/lane.ts'
import { fromFile, parseStatement, prelude, wayOf } from '../../src/clickhouse/embedded/statement.ts'

const parse = (search: string, method = 'POST') => parseStatement(new URL(`http://engine/?${search}`), method, {})

test.each([
  ['SELECT 1 FORMAT JSONEachRow', 'stream'],
  ['SELECT 1', 'stream'],
  ['-- why\n/* what */ (SELECT 1) UNION ALL SELECT 2', 'stream'],
  ['with x AS (SELECT 1) SELECT * FROM x format JSONCompactEachRow;', 'stream'],
  ['SELECT 1 FORMAT JSON', 'read'],
  ['SELECT 1 FORMAT CSVWithNames', 'read'],
  ['SELECT 1 FORMAT JSONEachRow SETTINGS max_threads = 1', 'read'],
  ['SHOW TABLES', 'read'],
  ['describe t', 'read'],
  ['EXPLAIN SELECT 1', 'read'],
  ['INSERT INTO t (a, b) FORMAT JSONCompactEachRow', 'insert'],
  ["INSERT INTO t SELECT * FROM input('a UInt8') FORMAT JSONEachRow", 'insert'],
  ['INSERT INTO t VALUES (1)', 'command'],
  ['INSERT INTO t SELECT 1', 'command'],
  ['CREATE TABLE selected (n UInt8) ENGINE = Memory', 'command'],
  ['KILL QUERY WHERE 1', 'command'],
  ['', 'command'],
])('%j goes the way of %s', (text, way) => {
  expect(wayOf({ ...parse(''), text })).toBe(way)
})

test('a SELECT whose answer is wanted whole is not streamed', () => {
  expect(wayOf(parse('wait_end_of_query=1&query=SELECT+1'))).toBe('read')
})

describe('the URL', () => {
  test('is taken apart into text, database, settings and parameters', () => {
    expect(parse('query=SELECT+1&database=d&query_id=q&max_threads=2&param_x=a%27b&default_format=CSV')).toEqual({
      text: 'SELECT 1',
      database: 'd',
      queryId: 'q',
      format: 'CSV',
      whole: false,
      settings: new Map([['max_threads', '2']]),
      parameters: new Map([['x', "a'b"]]),
    })
  })

  test.each(['a%20b', 'a%27%3B--', 'param_a-b', '%C3%BC', ''])('the key %j is not taken for a setting', (key) => {
    expect(() => parse(`${key}=1`)).toThrow(/Unknown setting/)
  })

  test.each(['session_id', 'role', 'compress'])('%s is refused rather than ignored', (key) => {
    expect(() => parse(`${key}=1`)).toThrow(`The embedded engine has no "${key}"`)
  })

  test('what comes by GET is read-only, whatever it says itself', () => {
    expect(parse('readonly=0', 'GET').settings.get('readonly')).toBe('2')
  })
})

test('database, settings and parameters go before the statement as literals', () => {
  const search = String.raw`database=a%60b&log_comment=mine&s=it%27s%20%5C&param_p=%5CN%27`
  expect(prelude(parse(search), 'mark')).toBe(
    String.raw`USE ${'`a\\`b`'}; SET log_comment = 'mark mine', s = 'it\'s \\', param_p = '\\N\''`,
  )
})

test.each([
  [
    'INSERT INTO t (a) FORMAT JSONCompactEachRow',
    String.raw`INSERT INTO t (a) FROM INFILE '/d\'ir/x' COMPRESSION 'none' FORMAT JSONCompactEachRow`,
  ],
  [
    String.raw`INSERT INTO t (a) SELECT * FROM input('a Enum8(\'x)\' = 1)') FORMAT JSONEachRow;`,
    String.raw`INSERT INTO t (a) SELECT * FROM file('/d\'ir/x', JSONEachRow, 'a Enum8(\'x)\' = 1)')`,
  ],
])('the rows of %j come from a file', (text, changed) => {
  expect(fromFile(text, "/d'ir/x")).toBe(changed)
})

test.each([
  ['Code: 60. DB::Exception: Unknown table x. (UNKNOWN_TABLE)', 60, 'UNKNOWN_TABLE', 'Unknown table x.'],
  [
    'Code: 73. DB::Exception: Code: 73. DB::Exception: Unknown format. (UNKNOWN_FORMAT) (version 26.7.2.1). (UNKNOWN_FORMAT)',
    73,
    'UNKNOWN_FORMAT',
    'Unknown format.',
  ],
  ['something else', 1002, 'UNKNOWN_EXCEPTION', 'something else'],
])("the engine's %j is said once", (text, code, type, message) => {
  expect(toEngineError(new Error(text))).toMatchObject({ code, type, message })
})

test('errors have the status that a server gives them', () => {
  const statuses = [62, 516, 60, 159, 48, 202, 241, 395].map((code) => statusOf(new EngineError(code, 'X', '')))
  expect(statuses).toEqual([400, 403, 404, 408, 501, 503, 500, 500])
})

describe('a lane', () => {
  const never = new AbortController().signal

  test('lets so many in, and the others in order as places come free', async () => {
    const lane = createLane(2, 10)
    const [first, second] = [await lane.enter(never), await lane.enter(never)]
    const order: number[] = []
    const third = lane.enter(never).then((leave) => {
      order.push(3)
      return leave
    })
    const fourth = lane.enter(never).then((leave) => {
      order.push(4)
      return leave
    })
    expect(lane.running).toBe(2)
    second()
    second()
    const leaveThird = await third
    expect(order).toEqual([3])
    first()
    const leaveFourth = await fourth
    expect(order).toEqual([3, 4])
    leaveThird()
    leaveFourth()
    expect(lane.running).toBe(0)
  })

  test('says that there is too much to do when its queue is full', async () => {
    const lane = createLane(1, 1)
    const leave = await lane.enter(never)
    const waiting = lane.enter(never)
    await expect(lane.enter(never)).rejects.toMatchObject({ code: 202, type: 'TOO_MANY_SIMULTANEOUS_QUERIES' })
    leave()
    ;(await waiting)()
  })

  test('forgets who gave up waiting', async () => {
    const lane = createLane(1, 1)
    const leave = await lane.enter(never)
    const abort = new AbortController()
    const waiting = lane.enter(abort.signal)
    abort.abort(new Error('gone'))
    await expect(waiting).rejects.toThrow('gone')
    leave()
    expect(lane.running).toBe(0)
    await expect(lane.enter(abort.signal)).rejects.toThrow('gone')
  })
})
