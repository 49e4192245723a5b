import { expect, test } from 'vitest'

import { kindOf } from '../../src/clickhouse/index.ts'
import { isBrokenConnection, parseAnswer, toClickHouseError } from '../../src/clickhouse/errors.ts'

test.each([
  [202, 'Too many simultaneous queries. Maximum: 100', 'overloaded'],
  [252, 'Too many parts (3001) in all partitions in total', 'overloaded'],
  [241, '(total) memory limit exceeded: would use 8.00 GiB', 'overloaded'],
  [241, 'Memory limit (total) exceeded: would use 8.00 GiB', 'overloaded'],
  [241, 'Memory limit (for query) exceeded: would use 1.00 GiB', 'refused'],
  [241, 'Query memory limit exceeded: would use 1.00 GiB', 'refused'],
  [252, 'Too many partitions for single INSERT block (more than 100).', 'refused'],
  [243, 'Cannot reserve 1.00 MiB, not enough space', 'overloaded'],
  [745, 'CPU is overloaded', 'overloaded'],
  [209, 'Timeout exceeded while reading from socket', 'unavailable'],
  [210, 'Connection refused', 'unavailable'],
  [236, 'Server is shutting down', 'unavailable'],
  [516, 'vedette: Authentication failed', 'credentials'],
  [192, 'There is no user x', 'credentials'],
  [497, 'Not enough privileges', 'credentials'],
  [164, 'Cannot execute query in readonly mode', 'credentials'],
  [394, 'Query was cancelled', 'cancelled'],
  [735, 'Query was cancelled by the client', 'cancelled'],
  [159, 'Timeout exceeded: elapsed 65 seconds', 'timeout'],
  [160, 'Estimated query execution time is too long', 'timeout'],
  [60, 'Unknown table', 'refused'],
  [62, 'Syntax error', 'refused'],
  [27, 'Cannot parse input', 'refused'],
  [53, 'Type mismatch', 'refused'],
  [396, 'Limit for result exceeded', 'refused'],
  [99_999, 'A number of the future', 'refused'],
])('%i "%s" is %s', (code, message, kind) => {
  expect(kindOf(code, message)).toBe(kind)
})

test.each([
  [
    'Code: 60. DB::Exception: Unknown table x. (UNKNOWN_TABLE) (version 26.7.2.1 (official build))\n',
    { kind: 'refused', code: 60, type: 'UNKNOWN_TABLE', message: 'Unknown table x.' },
  ],
  [
    'Code: 62. DB::Exception: Syntax error near CODEC(ZSTD) and (OTHER_WORD). (SYNTAX_ERROR) (version 26.7.2.1)',
    { kind: 'refused', code: 62, type: 'SYNTAX_ERROR', message: 'Syntax error near CODEC(ZSTD) and (OTHER_WORD).' },
  ],
  ['Code: 252. DB::Exception: Too\nmany parts', { kind: 'overloaded', code: 252, message: 'Too\nmany parts' }],
  ['<html>502 Bad Gateway</html>', { kind: 'unavailable', code: undefined }],
  ['', { kind: 'unavailable' }],
])('the answer %j is read whole', (answer, error) => {
  expect(parseAnswer(answer)).toMatchObject(error)
})

test('what the network says means that ClickHouse does not answer', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:8123'), { code: 'ECONNREFUSED' })
  expect(toClickHouseError(refused)).toMatchObject({ kind: 'unavailable', cause: refused })
  expect(toClickHouseError('odd')).toMatchObject({ kind: 'unavailable', message: 'ClickHouse does not answer: odd' })
})

test('only a connection that broke counts as broken', () => {
  expect(isBrokenConnection(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }))).toBe(true)
  expect(isBrokenConnection(new Error('socket hang up'))).toBe(true)
  expect(isBrokenConnection(Object.assign(new Error('x'), { code: 'ECONNREFUSED' }))).toBe(false)
  expect(isBrokenConnection(parseAnswer('Code: 60. DB::Exception: x (UNKNOWN_TABLE)'))).toBe(false)
})
