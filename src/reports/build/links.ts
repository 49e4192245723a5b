import type { Period, ReportScope } from '../types.ts'

/** A page that asks the question: GraphiQL opens with it. Below PUBLIC_URL. */
export const queryLink = (query: string): string => `/graphql?query=${encodeURIComponent(query)}`

export const rangeOf = ({ from, to }: Period): string => `{ from: "${from.toISOString()}", to: "${to.toISOString()}" }`

/** `timeRange: …, compareTo: …, where: …` of requestAnalytics for both periods. */
export const requestArguments = ({ period, previous, services }: ReportScope): string =>
  [
    `timeRange: ${rangeOf(period)}`,
    `compareTo: { period: CUSTOM, custom: ${rangeOf(previous)} }`,
    ...(services ? [`where: { service: { in: ${JSON.stringify(services)} } }`] : []),
  ].join(', ')
