import { ask, type Asker } from './ask.ts'
import { count, table } from './table.ts'

export interface TrialOptions extends Asker {
  /** The time that the limit is tried on: [from, to). */
  from: Date
  to: Date
  /** Requests a minute and address. */
  limit: number
  /** Rows of the table. */
  rows?: number
}

interface Client {
  client: string
  requests: number
  wouldLimit: number
  peak: number
}

interface Trial {
  backtestRateLimit: { evaluated: number; wouldLimit: number; wouldLimitClients: number; topClients: Client[] }
}

const DOCUMENT = `
  query DemoTrial($from: DateTime!, $to: DateTime!, $limit: Int!) {
    backtestRateLimit(policy: { limit: $limit, windowSeconds: 60 }, timeRange: { from: $from, to: $to }) {
      evaluated wouldLimit wouldLimitClients
      topClients { client requests wouldLimit peak }
    }
  }`

/**
 * What a limit would have done to the requests that are stored, as a table.
 * @throws {Error} what the API said instead of an answer
 */
export const trial = async ({ from, to, limit, rows = 8, ...asker }: TrialOptions): Promise<string> => {
  const variables = { from: from.toISOString(), to: to.toISOString(), limit }
  const { evaluated, wouldLimit, wouldLimitClients, topClients } = (await ask<Trial>(asker, DOCUMENT, variables))
    .backtestRateLimit
  return table(
    `A limit of ${count(limit)} a minute and address, tried on this day: ${count(wouldLimit)} of ${count(evaluated)} requests stopped, of ${count(wouldLimitClients)} addresses`,
    topClients.slice(0, rows),
    [
      { title: 'address', value: ({ client }) => client },
      { title: 'requests', value: ({ requests }) => count(requests), right: true },
      { title: 'stopped', value: (client) => count(client.wouldLimit), right: true },
      { title: 'most a minute', value: ({ peak }) => count(peak), right: true },
    ],
  )
}
