import * as fc from 'fast-check'
import { expect, test } from 'vitest'

import { combinedLine } from '../../load/bench/detection/combined.ts'
import { collectorRow, readLine } from '../../load/bench/detection/readers.ts'
import { scoreOf } from '../../load/bench/detection/table.ts'

const printable = fc.string({ unit: 'grapheme-ascii', minLength: 1 })
const visible = printable.filter((text) => /^\S+$/.test(text))

test('what the bench writes for fail2ban is what the collector reads back, whatever a client sent', () => {
  const row = fc.record({
    timestamp: fc.date({ min: new Date('1995-01-01'), max: new Date('2026-01-01'), noInvalidDate: true }),
    ip: fc.oneof(fc.ipV4(), fc.constant('2001:db8::7')),
    method: fc.constantFrom('GET', 'POST', 'PROPFIND'),
    path: visible.filter((text) => !text.includes('?')).map((text) => `/${text}`),
    query: visible,
    status: fc.integer({ min: 100, max: 599 }),
    responseBytes: fc.nat(),
    userAgent: fc.string({ unit: 'binary', minLength: 1 }).filter((text) => text !== '-'),
    referer: printable.filter((text) => text !== '-'),
  })
  fc.assert(
    fc.property(row, (given) => {
      const timestamp = new Date(Math.floor(given.timestamp.getTime() / 1_000) * 1_000)
      expect(collectorRow(combinedLine({ ...given, timestamp }))).toMatchObject({ ...given, timestamp })
    }),
  )
})

test('what is no HTTP request is written as it came', () => {
  const row = {
    timestamp: new Date('2026-11-20T10:00:00Z'),
    ip: '192.0.2.1',
    method: '-',
    path: '\x16\x03\x01',
    status: 400,
  }
  expect(combinedLine(row)).toBe(String.raw`192.0.2.1 - - [20/Nov/2026:10:00:00 +0000] "\x16\x03\x01" 400 0 "-" "-"`)
})

test.each([
  [
    'traefik',
    '{"ClientHost":"192.0.2.1,10.0.0.1","StartUTC":"2026-11-20T10:00:00.5Z","RequestMethod":"GET","RequestPath":"/a?b=1","RequestProtocol":"HTTP/1.1","DownstreamStatus":404,"request_User-Agent":"curl/8"}',
  ],
  [
    'caddy',
    '{"ts":1795168800.5,"request":{"client_ip":"192.0.2.1","proto":"HTTP/1.1","method":"GET","uri":"/a?b=1","headers":{"User-Agent":["curl/8"]}},"status":404,"size":7}',
  ],
  [
    'containerd',
    '2026-11-20T10:00:01Z stdout F {"start_time":"2026-11-20T10:00:00.5Z","method":"GET","x-envoy-origin-path":"/a?b=1","response_code":404,"user-agent":"curl/8","downstream_remote_address":"192.0.2.1:4711"}',
  ],
  [
    'containerd',
    '2026-11-20T10:00:01Z stdout F [2026-11-20T10:00:00.500Z] "GET /a?b=1 HTTP/1.1" 404 - 0 256 50 25 "192.0.2.1, 10.0.0.1" "curl/8" "id" "host" "up"',
  ],
  [
    'aws-alb',
    'http 2026-11-20T10:00:00.5Z app/a/b 192.0.2.1:4711 10.0.0.1:80 0.0 0.0 0.0 404 404 34 366 "GET http://shop.example:80/a?b=1 HTTP/1.1" "curl/8" - -',
  ],
  [
    'nginx',
    'Nov 20 10:00:00 web nginx[7]: 192.0.2.1 - - [20/Nov/2026:10:00:00.5 +0000] "GET /a?b=1 HTTP/1.1" 404 7 "-" "curl/8"',
  ],
])('a request is the same in whatever format it was logged: %s', (logType, line) => {
  expect(readLine(line, logType)).toMatchObject({
    timestamp: new Date('2026-11-20T10:00:00.5Z'),
    ip: '192.0.2.1',
    method: 'GET',
    path: '/a',
    query: 'b=1',
    status: 404,
    userAgent: 'curl/8',
  })
})

test('a line of an error log is no request', () => {
  expect(readLine('2026/11/20 10:00:00 [error] 7#7: *1 open() failed, client: 192.0.2.1', 'nginx')).toBeUndefined()
})

test('addresses that are neither good nor bad change no score', () => {
  expect(scoreOf('a', new Set(['bad', 'good', 'neither']), new Set(['bad', 'hidden']), new Set(['neither']))).toEqual({
    name: 'a',
    truePositives: 1,
    falsePositives: 1,
    missed: 1,
  })
})
