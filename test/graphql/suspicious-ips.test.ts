import { beforeAll, describe, expect, it } from 'vitest'

import { suspiciousIpId } from '../../src/detection/index.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { insertFindings } from '../support/findings.ts'
import { insertLogs } from '../support/request-logs.ts'
import { testGraphql } from './support.ts'

const database = testDatabase()
const api = testGraphql(database)
const HOUR = 3_600_000
const hour = (ago: number) => new Date((Math.floor(Date.now() / HOUR) - ago) * HOUR)
const id = (ip: string) => suspiciousIpId(ip.includes(':') ? ip : `::ffff:${ip}`)
const GUESSED = '203.0.113.7'

beforeAll(async () => {
  const minute = (index: number) => new Date(hour(2).getTime() + index * 60_000)
  await insertLogs(
    database.clickhouse,
    Array.from({ length: 30 }, (_, row) => ({
      timestamp: minute(row),
      ip: GUESSED,
      row,
      path: `/guess/${row}`,
      status: row % 3 === 0 ? 200 : 404,
      service: row % 2 === 0 ? 'shop' : 'blog',
    })),
  )
  await insertLogs(
    database.clickhouse,
    Array.from({ length: 3 }, (_, row) => ({
      timestamp: minute(row),
      ip: `203.0.113.${20 + row}`,
      batch: 2,
      row,
      path: '/',
    })),
  )
  const seen = { hour: hour(2), services: ['blog', 'shop'], requests: 30, errors: 20 }
  await insertFindings(database.clickhouse, [
    {
      ...seen,
      address: GUESSED,
      observed: 20,
      target: '/guess/1',
      parameters: { paths: 11 },
      details: { hits: 20 },
      score: 40,
    },
    {
      ...seen,
      address: GUESSED,
      detector: 'gone_by_now',
      severity: 'HIGH',
      score: 70,
      firstSeen: minute(0),
      lastSeen: minute(29),
    },
    ...['203.0.113.20', '203.0.113.21'].map((address) => ({ ...seen, address })),
    { ...seen, address: '2001:db8:7:8::', ip: '2001:db8:7:8::9', services: ['blog'] },
    { ...seen, address: '10.0.0.7' },
  ])
})

const ask = async (query: string, secret?: string) => {
  const answer = await api.ask(query, secret === undefined ? {} : { secret })
  expect(answer.json.errors).toBeUndefined()
  return answer.json.data
}

describe('a suspicious address', () => {
  it('says why it is one, down to the rows that prove it', async () => {
    const { suspiciousIps } = await ask(`{ suspiciousIps(first: 1) {
      totalCount
      nodes {
        id ip score severity isBlocked requests errorRate services detectorIds
        review { status } reviewHistory { status } block { id }
        campaign { summary sharedBy ips }
        detections { detectorId detector { name } unit observed threshold score summary target details parameters
          evidence(first: 3) { totalCount nodes { path statusCode } pageInfo { hasNextPage } } jobRun { job } }
        requestLogs(first: 1) { totalCount nodes { path } }
      }
    } }`)
    expect(suspiciousIps.totalCount).toBe(5)
    const { detections, ...suspect } = suspiciousIps.nodes[0]
    expect(suspect).toEqual({
      id: id(GUESSED),
      ip: GUESSED,
      score: 82,
      severity: 'HIGH',
      isBlocked: false,
      requests: 30,
      errorRate: 20 / 30,
      services: ['blog', 'shop'],
      detectorIds: ['gone_by_now', 'not_found_probing'],
      review: { status: 'OPEN' },
      reviewHistory: [],
      block: null,
      campaign: {
        summary: '3 addresses of 203.0.113.0/24',
        sharedBy: 'NETWORK',
        ips: [GUESSED, '203.0.113.20', '203.0.113.21'],
      },
      requestLogs: { totalCount: 30, nodes: [{ path: '/guess/29' }] },
    })
    expect(detections[0]).toMatchObject({
      detectorId: 'gone_by_now',
      detector: null,
      unit: '',
      evidence: { totalCount: 30 },
    })
    expect(detections[1]).toEqual({
      detectorId: 'not_found_probing',
      detector: { name: 'Not-found probing' },
      unit: 'paths',
      observed: 20,
      threshold: 11,
      score: 40,
      summary: 'Not-found probing: 20 paths within an hour, from 11 on it is flagged; most asked for /guess/1.',
      target: '/guess/1',
      details: { hits: 20 },
      parameters: { paths: 11 },
      evidence: {
        totalCount: 20,
        nodes: [29, 28, 26].map((row) => ({ path: `/guess/${row}`, statusCode: 404 })),
        pageInfo: { hasNextPage: true },
      },
      jobRun: { job: 'hourly' },
    })
  })

  it('is a node, and so is its campaign', async () => {
    const { node } = await ask(`{ node(id: "${id('2001:db8:7:8::')}") { __typename ... on SuspiciousIp { ip } } }`)
    expect(node).toEqual({ __typename: 'SuspiciousIp', ip: '2001:db8:7:8::9' })
    const { campaigns } = await ask(
      '{ campaigns(timeRange: { last: "1d" }) { totalCount nodes { id requests } edges { cursor } } }',
    )
    expect(campaigns).toMatchObject({ totalCount: 1, nodes: [{ requests: 90 }] })
    const campaign = await ask(`{ node(id: "${campaigns.nodes[0].id}") { __typename ... on Campaign { ips } } }`)
    expect(campaign.node).toMatchObject({ __typename: 'Campaign', ips: { length: 3 } })
    expect((await ask(`{ node(id: "${id('192.0.2.200')}") { id } }`)).node).toBeNull()
  })

  it('shows a key for some services what was found there, and of its rows those alone', async () => {
    const secret = await api.key(['SECURITY_READ', 'LOGS_READ'], ['shop'])
    const { all, suspiciousIps } = await ask(
      `{
        all: suspiciousIps { nodes { ip } }
        suspiciousIps(first: 1) { nodes { ip services detections(first: 2) { target evidence { totalCount } } } }
      }`,
      secret,
    )
    expect(all.nodes.map(({ ip }: { ip: string }) => ip)).not.toContain('2001:db8:7:8::9')
    expect(suspiciousIps.nodes[0]).toMatchObject({ ip: GUESSED, services: ['shop'] })
    expect(suspiciousIps.nodes[0].detections[1]).toEqual({ target: null, evidence: { totalCount: 10 } })
  })

  it('keeps its rows from a key without LOGS_READ', async () => {
    const secret = await api.key(['SECURITY_READ'])
    const answer = await api.ask('{ suspiciousIps(first: 1) { nodes { requestLogs { totalCount } } } }', { secret })
    expect(answer.json.errors[0].extensions).toMatchObject({ code: 'FORBIDDEN', scope: 'LOGS_READ' })
  })

  it('is a row of a table, too', async () => {
    const answer = await api.ask('{ suspiciousIps(first: 2) { nodes { ip score detectorIds review { status } } } }', {
      format: 'csv',
    })
    expect(answer.text.split('\r\n').slice(0, 2)).toEqual([
      'ip,score,detectorIds,review.status',
      `${GUESSED},82,"[""gone_by_now"",""not_found_probing""]",OPEN`,
    ])
  })

  it('is priced by what is read of it', async () => {
    const answer = await api.ask('{ suspiciousIps(first: 1000) { nodes { detections { evidence { totalCount } } } } }')
    expect(answer.json.errors[0].extensions.code).toBe('QUERY_TOO_EXPENSIVE')
  })
})

const review = async (input: string, secret?: string) =>
  (
    await ask(
      `mutation { reviewSuspiciousIps(input: { ${input} }) { suspiciousIps { ip isBlocked review { status note reviewedBy detectors } block { source reason } } userErrors { code message field } } }`,
      secret,
    )
  ).reviewSuspiciousIps

describe('reviewSuspiciousIps', () => {
  it('notes a verdict on several, and blocks them', async () => {
    const secret = await api.key(['SECURITY_READ', 'SECURITY_WRITE'])
    const keyId = api.keys.authenticate(secret)!.keyId
    const { suspiciousIps, userErrors } = await review(
      `ids: ["${id(GUESSED)}", "${id('203.0.113.20')}"], status: CONFIRMED, note: "scanner", block: ONE_DAY`,
      secret,
    )
    expect(userErrors).toEqual([])
    expect(suspiciousIps[0]).toEqual({
      ip: GUESSED,
      isBlocked: true,
      review: {
        status: 'CONFIRMED',
        note: 'scanner',
        reviewedBy: keyId,
        detectors: ['gone_by_now', 'not_found_probing'],
      },
      block: { source: 'MANUAL', reason: 'verdict CONFIRMED: scanner' },
    })
    const { detectors } = await ask('{ detectors { id confirmed precision } }')
    expect(detectors).toContainEqual({ id: 'not_found_probing', confirmed: 2, precision: 1 })
    const { suspiciousIps: open } = await ask('{ suspiciousIps(where: { status: [OPEN] }) { totalCount } }')
    expect(open.totalCount).toBe(3)
  })

  it('says as a user error what cannot be, and changes nothing', async () => {
    const { suspiciousIps, userErrors } = await review(`ids: ["${id('10.0.0.7')}"], status: CONFIRMED, block: FOREVER`)
    expect(suspiciousIps).toEqual([])
    expect(userErrors).toEqual([
      { code: 'INVALID', message: expect.stringContaining('10.0.0.7 is of 10.0.0.0/8'), field: ['block'] },
    ])
    expect((await review(`ids: ["sus_x"], status: CONFIRMED`)).userErrors).toMatchObject([
      { code: 'NOT_FOUND', field: ['ids'] },
    ])
    const { node } = await ask(
      `{ node(id: "${id('10.0.0.7')}") { ... on SuspiciousIp { review { status } isBlocked } } }`,
    )
    expect(node).toEqual({ review: { status: 'OPEN' }, isBlocked: false })
  })

  it('is not for a key that is bound to services', async () => {
    const secret = await api.key(['SECURITY_WRITE'], ['shop'])
    const answer = await api.ask(
      `mutation { reviewSuspiciousIps(input: { ids: ["${id(GUESSED)}"], status: IGNORED }) { userErrors { code } } }`,
      { secret },
    )
    expect(answer.json.errors[0].extensions.code).toBe('FORBIDDEN')
  })
})

it('ipReport tells what one address did, what was found, who blocks it and who lives beside it', async () => {
  const { ipReport } = await ask(`{ ipReport(ip: "${GUESSED}", timeRange: { last: "1d" }) {
    ip metrics { requests errorRate } suspicious { detectorIds review { status } } blocks { source }
    timeline(bucket: { granularity: HOUR, fillGaps: false }) { bucketStart requests }
    topPaths(limit: 2) { path requests } neighbours { clientIp requests } wider: neighbours(prefix: 16) { clientIp }
  } }`)
  expect(ipReport).toEqual({
    ip: GUESSED,
    metrics: { requests: 30, errorRate: 20 / 30 },
    suspicious: { detectorIds: ['gone_by_now', 'not_found_probing'], review: { status: 'CONFIRMED' } },
    blocks: [{ source: 'MANUAL' }],
    timeline: [{ bucketStart: hour(2).toISOString(), requests: 30 }],
    topPaths: [
      { path: '/guess/0', requests: 1 },
      { path: '/guess/1', requests: 1 },
    ],
    neighbours: [20, 21, 22].map((last) => ({ clientIp: `203.0.113.${last}`, requests: 1 })),
    wider: [20, 21, 22].map((last) => ({ clientIp: `203.0.113.${last}` })),
  })
  const answer = await api.ask(
    `{ ipReport(ip: "${GUESSED}", timeRange: { last: "1d" }) { neighbours(prefix: 33) { requests } } }`,
  )
  expect(answer.json.errors[0]).toMatchObject({
    message: expect.stringContaining('8 to 32'),
    extensions: { argument: 'prefix' },
  })
})
