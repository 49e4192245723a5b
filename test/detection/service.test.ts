import { expect, it } from 'vitest'

import { testApp } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'

const HOUR = 3_600_000
const database = testDatabase()
const service = testApp(database, { CRAWLER_DNS: 'false', TRUSTED_PROXIES: '127.0.0.1' })

const lastHour = new Date((Math.floor(Date.now() / HOUR) - 1) * HOUR)

const ask = async (query: string, variables: object = {}) => {
  const response = await service.request('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables }),
  })
  const { data, errors } = (await response.json()) as { data: Record<string, any>; errors?: { message: string }[] }
  expect(errors).toBeUndefined()
  return data
}

const decide = async (ip: string): Promise<string | null> => {
  const response = await service.request('/v1/decide?dialect=json', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ip, method: 'GET', path: '/' }),
  })
  return response.headers.get('x-vedette-decision')
}

it('an attack is collected, found when the hour is closed, told, blocked as the detector says, reviewed, and let go again', async () => {
  const attack = (ip: string) =>
    ['/.env', '/.git/config', '/backup.sql', '/wp-config.php.bak'].map((path, minute) => ({
      timestamp: new Date(lastHour.getTime() + minute * 60_000).toISOString(),
      service: 'shop',
      ip,
      method: 'GET',
      path,
      status: 404,
    }))
  const posted = await service.post([...attack('45.76.10.9'), ...attack('10.1.2.3')], { query: '?wait=stored' })
  expect(posted.body).toMatchObject({ accepted: 8, stored: true })
  const set = await ask(
    'mutation { setDetector(id: "sensitive_file", mode: FLAG_AND_BLOCK) { detector { mode } userErrors { message } } }',
  )
  expect(set['setDetector']).toEqual({ detector: { mode: 'FLAG_AND_BLOCK' }, userErrors: [] })

  const hangUp = new AbortController()
  const stream = await service.request(
    `/graphql?query=${encodeURIComponent('subscription { suspiciousIpDetected { ip } }')}`,
    { headers: { accept: 'text/event-stream' }, signal: hangUp.signal },
  )
  let told = ''
  const following = (async () => {
    for await (const chunk of stream.body!.pipeThrough(new TextDecoderStream())) told += chunk
  })()

  const run = await ask(
    'mutation ($from: DateTime!) { runJob(job: "hourly", windowFrom: $from) { jobRun { status error } userErrors { message } } }',
    { from: lastHour.toISOString() },
  )
  expect(run['runJob']).toEqual({ jobRun: { status: 'SUCCEEDED', error: null }, userErrors: [] })
  await expect
    .poll(() => [...told.matchAll(/"ip":"([\d.]+)"/g)].map(([, ip]) => ip!).toSorted())
    .toEqual(['10.1.2.3', '45.76.10.9'])
  hangUp.abort()
  await following.catch(() => {})

  const { suspiciousIps } = await ask(
    `{ suspiciousIps { totalCount nodes { id ip severity isBlocked services block { source reason }
        detections { detector { id } observed threshold unit summary evidence { nodes { path statusCode } } } } } }`,
  )
  expect(suspiciousIps.totalCount).toBe(2)
  const outsider = suspiciousIps.nodes.find(({ ip }: { ip: string }) => ip === '45.76.10.9')
  expect(outsider).toMatchObject({
    severity: 'HIGH',
    isBlocked: true,
    services: ['shop'],
    block: { source: 'AUTOMATIC' },
  })
  const files = outsider.detections.find(({ detector }: any) => detector.id === 'sensitive_file')
  expect(files.observed).toBeGreaterThanOrEqual(files.threshold)
  expect(files.evidence.nodes.map(({ path }: { path: string }) => path).sort()).toEqual([
    '/.env',
    '/.git/config',
    '/backup.sql',
    '/wp-config.php.bak',
  ])
  const insider = suspiciousIps.nodes.find(({ ip }: { ip: string }) => ip === '10.1.2.3')
  expect(insider).toMatchObject({ isBlocked: false, block: null })
  expect([await decide('45.76.10.9'), await decide('10.1.2.3')]).toEqual(['blocked', 'allowed'])

  const list = (await (await service.request('/api/suspicious-ips/')).json()) as { count: number; results: any[] }
  expect(list.count).toBe(2)
  expect(list.results.find(({ ip_address }) => ip_address === '45.76.10.9')).toMatchObject({
    detection_type: expect.any(String),
    is_blocked: true,
    flagged_at: new Date(lastHour.getTime() + HOUR).toISOString(),
    details: { request_count: 4 },
  })

  const reviewed = await ask(
    'mutation ($ids: [ID!]!) { reviewSuspiciousIps(input: { ids: $ids, status: FALSE_POSITIVE, note: "our own scan", except: true }) { suspiciousIps { isBlocked review { status note } } userErrors { message } } }',
    { ids: [outsider.id] },
  )
  expect(reviewed['reviewSuspiciousIps']).toEqual({
    suspiciousIps: [{ isBlocked: false, review: { status: 'FALSE_POSITIVE', note: 'our own scan' } }],
    userErrors: [],
  })
  await ask('mutation ($from: DateTime!) { runJob(job: "hourly", windowFrom: $from) { jobRun { status } } }', {
    from: lastHour.toISOString(),
  })
  const after = await ask('{ suspiciousIps { nodes { ip } } detectors { id confirmed falsePositives precision } }')
  expect(after['suspiciousIps'].nodes).toEqual([{ ip: '10.1.2.3' }])
  expect(after['detectors'].find(({ id }: { id: string }) => id === 'sensitive_file')).toEqual({
    id: 'sensitive_file',
    confirmed: 0,
    falsePositives: 1,
    precision: 0,
  })
  expect(await decide('45.76.10.9')).toBe('allowed')
})
