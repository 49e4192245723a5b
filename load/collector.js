// Rows into the collector under load by k6:  npm run load -- collector   (load/README.md)
//
// Every POST has an Idempotency-Key of its own, as senders should have. It fails where one is not taken whole.
import http from 'k6/http'
import { check } from 'k6'
import exec from 'k6/execution'
import { Counter } from 'k6/metrics'

const URL = __ENV.URL || 'http://127.0.0.1:8080'
const SECONDS = Number(__ENV.SECONDS || 10)
const CLIENTS = Number(__ENV.CLIENTS || 8)
const BATCHES = [1, 100, 1_000]

const rows = new Counter('rows')

const scenario = (batch, index) => ({
  executor: 'constant-vus',
  vus: CLIENTS,
  duration: `${SECONDS}s`,
  startTime: `${index * (SECONDS + 1)}s`,
  gracefulStop: '5s',
  env: { BATCH: String(batch) },
  tags: { batch: String(batch) },
})

export const options = {
  scenarios: Object.fromEntries(BATCHES.map((batch, index) => [`rows${batch}`, scenario(batch, index)])),
  summaryTrendStats: ['med', 'p(99)', 'max'],
  thresholds: Object.fromEntries([
    ['checks', ['rate == 1']],
    ['http_req_failed', ['rate == 0']],
    // Named so that the summary has a line for each.
    ...BATCHES.flatMap((batch) => [
      [`http_req_duration{batch:${batch}}`, ['p(99) < 1000']],
      [`rows{batch:${batch}}`, ['count > 0']],
    ]),
  ]),
}

const PATHS = ['/', '/cart', '/login', '/search', '/v1/recommendations', '/static/app.js']

const row = (number) => ({
  service: 'load',
  ip: `203.0.113.${number % 256}`,
  method: number % 5 === 0 ? 'POST' : 'GET',
  path: `${PATHS[number % PATHS.length]}?item=${number % 1_000}`,
  status: number % 50 === 0 ? 500 : 200,
  durationMs: 5 + (number % 400) / 4,
  userAgent: 'k6',
})

export default () => {
  const batch = Number(__ENV.BATCH)
  const { idInTest } = exec.vu
  const { iterationInScenario } = exec.vu
  const first = (idInTest * 1_009 + iterationInScenario) * batch
  const answer = http.post(
    `${URL}/v1/requests`,
    JSON.stringify(Array.from({ length: batch }, (_, index) => row(first + index))),
    {
      headers: {
        Authorization: `Bearer ${__ENV.KEY}`,
        'Content-Type': 'application/json',
        'Idempotency-Key': `load-${exec.scenario.startTime}-${batch}-${idInTest}-${iterationInScenario}`,
      },
    },
  )
  if (check(answer, { 'is taken whole': ({ status }) => status === 202 && answer.json('accepted') === batch }))
    rows.add(batch)
}

export const handleSummary = ({ metrics }) => {
  const lines = BATCHES.map((batch) => {
    const { med, 'p(99)': p99 } = metrics[`http_req_duration{batch:${batch}}`].values
    const perSecond = Math.round(metrics[`rows{batch:${batch}}`].values.count / SECONDS)
    return `${String(batch).padStart(11)}  ${String(perSecond).padStart(7)}  ${med.toFixed(2).padStart(7)}  ${p99.toFixed(2).padStart(7)}`
  })
  const { passes, fails } = metrics.checks.values
  return {
    stdout: `rows a POST   rows/s   p50 ms   p99 ms\n${lines.join('\n')}\n${passes} of ${passes + fails} POSTs were taken whole, ${CLIENTS} clients\n`,
  }
}
