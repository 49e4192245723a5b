// Decisions under load by k6:  npm run load -- decide   (load/README.md)
//
// KEY has scope DECIDE, and Vedette believes the machine that this runs on (TRUSTED_PROXIES), so that the addresses of
// X-Forwarded-For are what is asked about. Loopback and test machines only. It fails where an answer is no decision.
import http from 'k6/http'
import { check } from 'k6'
import exec from 'k6/execution'
import { Counter } from 'k6/metrics'

const URL = __ENV.URL || 'http://127.0.0.1:8080'
const SECONDS = Number(__ENV.SECONDS || 10)
const CONNECTIONS = [1, 32, 256]

const decisions = new Counter('decisions')

const scenario = (connections, index) => ({
  executor: 'constant-vus',
  vus: connections,
  duration: `${SECONDS}s`,
  startTime: `${index * (SECONDS + 1)}s`,
  gracefulStop: '1s',
  tags: { connections: String(connections) },
})

export const options = {
  scenarios: Object.fromEntries(
    CONNECTIONS.map((connections, index) => [`c${connections}`, scenario(connections, index)]),
  ),
  summaryTrendStats: ['med', 'p(99)', 'max'],
  thresholds: Object.fromEntries([
    ['checks', ['rate == 1']],
    // Named so that the summary has a line for each.
    ...CONNECTIONS.flatMap((connections) => [
      [`http_req_duration{connections:${connections}}`, ['p(99) < 1000']],
      [`decisions{connections:${connections}}`, ['count > 0']],
    ]),
  ]),
}

/** 10,000 networks of IPv6, each counted by itself. */
const visitor = () => `2001:db8:${exec.vu.idInTest % 10_000}:${exec.vu.iterationInScenario % 10_000}::1`

export default () => {
  const answer = http.get(`${URL}/v1/decide?dialect=traefik&service=shop`, {
    headers: {
      'X-Api-Key': __ENV.KEY,
      'X-Forwarded-Uri': '/cart?item=7',
      'X-Forwarded-Method': 'GET',
      'X-Forwarded-For': visitor(),
    },
    responseCallback: http.expectedStatuses(200, 403, 429),
  })
  decisions.add(1)
  check(answer, {
    'is a decision': ({ headers }) => ['allowed', 'limited', 'blocked'].includes(headers['X-Vedette-Decision']),
  })
}

export const handleSummary = ({ metrics }) => {
  const lines = CONNECTIONS.map((connections) => {
    const { med, 'p(99)': p99 } = metrics[`http_req_duration{connections:${connections}}`].values
    const { count } = metrics[`decisions{connections:${connections}}`].values
    const perSecond = Math.round(count / SECONDS)
    return `${String(connections).padStart(11)}  ${String(perSecond).padStart(11)}  ${med.toFixed(2).padStart(7)}  ${p99.toFixed(2).padStart(7)}`
  })
  const { passes, fails } = metrics.checks.values
  return {
    stdout: `connections  decisions/s   p50 ms   p99 ms\n${lines.join('\n')}\n${passes} of ${passes + fails} answers were decisions\n`,
  }
}
