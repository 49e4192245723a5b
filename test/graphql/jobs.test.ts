import { expect, it } from 'vitest'

import type { Job } from '../../src/jobs/index.ts'
import { SCOPES } from '../../src/http/index.ts'
import { testApp } from '../support/app.ts'
import { testDatabase } from '../support/clickhouse.ts'
import { type Answer, testGraphql } from './support.ts'

const HOUR = 3_600_000
const failing = { name: '' }

const job = (name: string): Job => ({
  name,
  description: `Does ${name}.`,
  windowSeconds: 3600,
  settleSeconds: 0,
  catchUp: 'latest',
  run: async () => {
    if (failing.name === name) throw new Error('no luck')
    return { rowsRead: 7, rowsWritten: 3 }
  },
})

const database = testDatabase()
const service = testApp(database)
const api = testGraphql(database, undefined, { jobs: () => [job('sweep'), job('count')] })

const RUN =
  'id job status windowFrom windowTo attempt requestedBy scheduledFor startedAt finishedAt rowsRead rowsWritten error'

const runJob = async (args: string) =>
  (await api.ask(`mutation { runJob(${args}) { jobRun { ${RUN} } jobRuns { id } userErrors { code message field } } }`))
    .json.data.runJob

/** The start of the hour so many hours ago. */
const hourAgo = (hours: number): string => new Date((Math.floor(Date.now() / HOUR) - hours) * HOUR).toISOString()

it('runs a job for windows that are over, says what came of it, and finds each run by its id', async () => {
  const secret = await api.key(['ADMIN'])
  const { jobRun, jobRuns, userErrors } = await runJob(
    `job: "sweep", windowFrom: "${hourAgo(50)}", windowTo: "${hourAgo(48)}"`,
  )
  expect(userErrors).toEqual([])
  expect(jobRuns).toHaveLength(2)
  expect(jobRun).toEqual({
    id: expect.stringMatching(/^run_\d{15,}$/),
    job: 'sweep',
    status: 'SUCCEEDED',
    windowFrom: hourAgo(49),
    windowTo: hourAgo(48),
    attempt: 1,
    requestedBy: api.keys.authenticate(secret)!.keyId,
    scheduledFor: expect.any(String),
    startedAt: expect.any(String),
    finishedAt: expect.any(String),
    rowsRead: 7,
    rowsWritten: 3,
    error: null,
  })
  const node = await api.ask(`{ node(id: "${jobRun.id}") { __typename ... on JobRun { ${RUN} } } }`)
  expect(node.json.data.node).toEqual({ __typename: 'JobRun', ...jobRun })
  const hidden = await api.ask(`{ node(id: "${jobRun.id}") { id } }`, { secret: await api.key(['SECURITY_READ']) })
  expect(hidden.json.errors[0].extensions).toEqual({ code: 'FORBIDDEN', scope: 'ADMIN' })
})

it('says as user errors what cannot be run', async () => {
  expect((await runJob('job: "hourly"')).userErrors).toEqual([
    { code: 'NOT_FOUND', message: 'there is no job "hourly"; there are: sweep, count', field: ['job'] },
  ])
  const { jobRun, userErrors } = await runJob('job: "sweep", windowFrom: "2099-01-01"')
  expect(jobRun).toBeNull()
  expect(userErrors).toMatchObject([{ code: 'INVALID', field: ['windowFrom'] }])
})

it('lists jobs and pages through their runs', async () => {
  await runJob(`job: "count", windowFrom: "${hourAgo(30)}"`)
  failing.name = 'count'
  const failed = await runJob(`job: "count", windowFrom: "${hourAgo(29)}"`)
  failing.name = ''
  expect(failed.jobRun).toMatchObject({
    status: 'FAILED',
    error: expect.stringContaining('no luck; it is tried again at'),
  })
  const jobs = (
    await api.ask('{ jobs { name description windowSeconds lastRun { job } lastSuccessAt doneUntil nextAt } }')
  ).json.data.jobs
  expect(jobs).toMatchObject([
    { name: 'sweep', description: 'Does sweep.', windowSeconds: 3600, lastRun: { job: 'sweep' } },
    { name: 'count', lastSuccessAt: expect.any(String), doneUntil: expect.any(String), nextAt: hourAgo(-1) },
  ])
  const ids: string[] = []
  let after: string | null = null
  do {
    const answer: Answer = await api.ask(
      'query ($after: String) { jobRuns(job: "count", first: 2, after: $after) { nodes { id } pageInfo { nextCursor } totalCount } }',
      { variables: { after } },
    )
    const { nodes, pageInfo } = answer.json.data.jobRuns
    ids.push(...nodes.map(({ id }: { id: string }) => id))
    after = pageInfo.nextCursor
  } while (after !== null)
  const whole = (await api.ask('{ jobRuns(job: "count") { edges { node { id } } totalCount } }')).json.data.jobRuns
  expect(ids).toEqual(whole.edges.map(({ node }: { node: { id: string } }) => node.id))
  expect(ids.length).toBe(whole.totalCount)
  const only = await api.ask('{ jobRuns(job: "count", status: FAILED) { nodes { id } } }')
  expect(only.json.data.jobRuns.nodes).toEqual([{ id: failed.jobRun.id }])
  const refused = await api.ask('{ jobRuns(after: "x") { totalCount } }')
  expect(refused.json.errors[0].extensions).toEqual({ code: 'INVALID_ARGUMENT', argument: 'after' })
})

const subscribe = async (query: string, secret: string, signal: AbortSignal): Promise<Response> =>
  fetch(`${api.url}/graphql?query=${encodeURIComponent(query)}`, {
    headers: { accept: 'text/event-stream', authorization: `Bearer ${secret}` },
    signal,
  })

/** What comes over a stream, as it comes. */
const follow = (response: Response) => {
  const text = { all: '' }
  const ended = (async () => {
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) text.all += chunk
  })()
  return { text, ended }
}

const eventsIn = (text: string): unknown[] =>
  [...text.matchAll(/^event: next\ndata: (.*)$/gm)].map(([, data]) => JSON.parse(data!) as unknown)

const SUBSCRIPTION = 'subscription { jobRunUpdated(job: "sweep") { job status } }'

it('streams changes of runs over SSE, of the job asked for alone, with comments in between that keep it open', async () => {
  const hangUp = new AbortController()
  const response = await subscribe(SUBSCRIPTION, await api.key(['ADMIN']), hangUp.signal)
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
  const { text, ended } = follow(response)
  await expect.poll(() => text.all).toMatch(/^:\n\n/)
  await runJob('job: "count"')
  await runJob('job: "sweep"')
  await expect
    .poll(() => eventsIn(text.all))
    .toEqual(
      ['QUEUED', 'RUNNING', 'SUCCEEDED'].map((status) => ({ data: { jobRunUpdated: { job: 'sweep', status } } })),
    )
  await expect.poll(() => text.all).toMatch(/\n:\n\n$/)
  hangUp.abort()
  await ended.catch(() => {})
})

it('streams for keys with ADMIN alone, and refuses the others with 403', async () => {
  for (const scope of SCOPES.filter((held) => held !== 'ADMIN')) {
    const response = await subscribe(SUBSCRIPTION, await api.key([scope]), AbortSignal.timeout(5_000))
    expect([scope, response.status]).toEqual([scope, 403])
    expect(await response.text()).toContain('needs an API key with scope ADMIN')
  }
  const nobody = await subscribe(SUBSCRIPTION, 'vdt_nobody', AbortSignal.timeout(5_000))
  expect(nobody.status).toBe(401)
})

it('refuses a subscription over anything but SSE, and one that is too large', async () => {
  expect((await api.ask(SUBSCRIPTION)).status).toBe(406)
  const many = `subscription { jobRunUpdated { ${Array.from({ length: 101 }, (_, index) => `a${index}: job`).join(' ')} } }`
  const response = await subscribe(many, await api.key(['ADMIN']), AbortSignal.timeout(5_000))
  expect(response.status).toBe(422)
})

it('ends a stream when its key is revoked, before it says more', async () => {
  const { apiKey, secret } = await api.keys.create({ name: 'short', scopes: ['ADMIN'], by: 'cli' })
  const { text, ended } = follow(await subscribe(SUBSCRIPTION, secret, AbortSignal.timeout(20_000)))
  await api.keys.revoke(apiKey.id, { by: 'cli' })
  await runJob('job: "sweep"')
  await ended
  expect([eventsIn(text.all), text.all]).toEqual([[], expect.stringMatching(/event: complete\ndata:\n\n$/)])
})

it('opens 200 streams, refuses one more with 503, and takes another once one has ended', async () => {
  const secret = await api.key(['ADMIN'])
  const hangUps = Array.from({ length: 200 }, () => new AbortController())
  const open = await Promise.all(hangUps.map(({ signal }) => subscribe(SUBSCRIPTION, secret, signal)))
  expect(new Set(open.map(({ status }) => status))).toEqual(new Set([200]))
  const more = await subscribe(SUBSCRIPTION, secret, AbortSignal.timeout(5_000))
  expect([more.status, more.headers.get('retry-after')]).toEqual([503, '30'])
  expect(((await more.json()) as { detail: string }).detail).toMatch(/200 event streams open/)
  for (const hangUp of hangUps) hangUp.abort()
  const again = async (): Promise<number> => {
    const hangUp = new AbortController()
    const { status } = await subscribe(SUBSCRIPTION, secret, hangUp.signal)
    hangUp.abort()
    return status
  }
  await expect.poll(again).toBe(200)
})

it('ends all streams when the service stops, which does not wait for them', async () => {
  const response = await fetch(`${service.url}/graphql?query=${encodeURIComponent(SUBSCRIPTION)}`, {
    headers: { accept: 'text/event-stream', authorization: `Bearer ${service.key}` },
  })
  const { text, ended } = follow(response)
  const startedAt = performance.now()
  await service.app.stop()
  await ended
  expect(text.all).toMatch(/event: complete/)
  expect(performance.now() - startedAt).toBeLessThan(5_000)
})
