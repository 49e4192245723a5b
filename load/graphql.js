// Questions under load by k6:  npm run load -- graphql   (load/README.md)
//
// KEY has scopes COLLECT and ANALYTICS_READ, SECURITY_READ and LOGS_READ, or ADMIN. It stores ROWS requests first, and fails
// where an answer is none.
import http from 'k6/http'
import { check, fail } from 'k6'
import { Counter } from 'k6/metrics'

const URL = __ENV.URL || 'http://127.0.0.1:8080'
const SECONDS = Number(__ENV.SECONDS || 10)
const CLIENTS = Number(__ENV.CLIENTS || 8)
const ROWS = Number(__ENV.ROWS || 100_000)

const RANGE = 'timeRange: { last: "24h" }'
/** What a dashboard asks, each with the time that a person should wait for it at most, in ms. */
const QUESTIONS = {
  totals: [`{ requestAnalytics(${RANGE}) { rows { requests errorRate } } }`, 2_000],
  countries: [
    `{ requestAnalytics(${RANGE}, groupBy: [CLIENT_COUNTRY], limit: 20) { rows { clientCountry requests errorRate } } }`,
    2_000,
  ],
  addresses: [
    `{ requestAnalytics(${RANGE}, groupBy: [CLIENT_IP], limit: 20) { rows { clientIp requests errorRate } } }`,
    2_000,
  ],
  logs: [`{ requestLogs(${RANGE}, first: 100) { nodes { timestamp clientIp path statusCode } } }`, 2_000],
}
const NAMES = Object.keys(QUESTIONS)

const answers = new Counter('answers')

const scenario = (name, index) => ({
  executor: 'constant-vus',
  vus: CLIENTS,
  duration: `${SECONDS}s`,
  startTime: `${index * (SECONDS + 1)}s`,
  gracefulStop: '10s',
  env: { QUESTION: name },
  tags: { question: name },
})

export const options = {
  setupTimeout: '120s',
  scenarios: Object.fromEntries(NAMES.map((name, index) => [name, scenario(name, index)])),
  summaryTrendStats: ['med', 'p(99)', 'max'],
  thresholds: Object.fromEntries([
    ['checks', ['rate == 1']],
    ...NAMES.flatMap((name) => [
      [`http_req_duration{question:${name}}`, [`p(99) < ${QUESTIONS[name][1]}`]],
      [`answers{question:${name}}`, ['count > 0']],
    ]),
  ]),
}

const headers = { Authorization: `Bearer ${__ENV.KEY}`, 'Content-Type': 'application/json' }

const row = (number) => ({
  service: number % 3 === 0 ? 'shop' : 'api',
  ip: `${(number % 200) + 20}.${(number >> 3) % 256}.113.${number % 256}`,
  method: 'GET',
  path: `/page/${number % 500}`,
  status: number % 40 === 0 ? 404 : 200,
  durationMs: number % 300,
  // Over the last hours, so that there is something to group by.
  timestamp: Date.now() - (number % 36_000) * 1_000 * 2,
})

export const setup = () => {
  const batch = 5_000
  for (let first = 0; first < ROWS; first += batch) {
    const rows = Array.from({ length: Math.min(batch, ROWS - first) }, (_, index) => row(first + index))
    const wait = first + batch >= ROWS ? '?wait=stored' : ''
    const answer = http.post(`${URL}/v1/requests${wait}`, JSON.stringify(rows), {
      headers,
      tags: { question: 'setup' },
    })
    if (answer.status !== 202) fail(`the collector answered ${answer.status}: ${answer.body}`)
  }
}

export default () => {
  const [query] = QUESTIONS[__ENV.QUESTION]
  const answer = http.post(`${URL}/graphql`, JSON.stringify({ query }), { headers })
  answers.add(1)
  check(answer, {
    'is an answer with rows': () => {
      const { data, errors } = answer.json()
      return (
        answer.status === 200 && !errors && (Object.values(data)[0].rows ?? Object.values(data)[0].nodes).length > 0
      )
    },
  })
}

export const handleSummary = ({ metrics }) => {
  const lines = NAMES.map((name) => {
    const { med, 'p(99)': p99 } = metrics[`http_req_duration{question:${name}}`].values
    const perSecond = metrics[`answers{question:${name}}`].values.count / SECONDS
    return `${name.padEnd(10)}  ${perSecond.toFixed(1).padStart(9)}  ${med.toFixed(1).padStart(7)}  ${p99.toFixed(1).padStart(7)}`
  })
  const { passes, fails } = metrics.checks.values
  return {
    stdout: `question    answers/s   p50 ms   p99 ms\n${lines.join('\n')}\n${passes} of ${passes + fails} were answers, ${CLIENTS} clients, ${ROWS} rows\n`,
  }
}
