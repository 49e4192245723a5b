import type { GraphQLError } from 'graphql'
import type { Plugin } from 'graphql-yoga'

import { PROBLEM_TYPE, problem, problemBody } from '../http/index.ts'
import type { RequestContext } from './context.ts'
import { STATUS, statusOf, type PublicCode } from './errors.ts'
import { flatOf, toCsv, toNdjson } from './table-text.ts'

const FORMATS = {
  'text/csv': { type: 'text/csv; charset=utf-8; header=present', write: toCsv },
  'application/x-ndjson': { type: 'application/x-ndjson; charset=utf-8', write: toNdjson },
} as const
type MediaType = keyof typeof FORMATS

/** Values of `?format=` and the media types they stand for. */
export const MEDIA_TYPES: Record<string, string> = {
  csv: 'text/csv',
  ndjson: 'application/x-ndjson',
  json: 'application/json',
}

interface Answer {
  data?: unknown
  errors?: readonly GraphQLError[]
  extensions?: Record<string, unknown>
}

/** The media type asked for, if it is one of ours; the best of a weighted list. */
const wanted = (accept: string | null): MediaType | undefined => {
  const offers = (accept ?? '').split(',').map((offer) => {
    const [type, ...parameters] = offer
      .trim()
      .toLowerCase()
      .split(/\s*;\s*/)
    const quality = parameters.find((parameter) => parameter.startsWith('q='))
    return { type, quality: quality ? Number(quality.slice(2)) : 1 }
  })
  const best = offers.toSorted((a, b) => b.quality - a.quality)[0]
  return best?.type && best.type in FORMATS ? (best.type as MediaType) : undefined
}

/** A table is whole or not at all: any error makes it a problem, not half a CSV. */
const refusal = (errors: readonly GraphQLError[]) => {
  const [first] = errors
  const http = first?.extensions.http
  const code = first?.extensions['code'] as PublicCode | undefined
  const status = http?.status ?? (code && code in STATUS ? statusOf(errors) : 400)
  return problem(status, {
    detail: first?.message ?? 'The query has no answer.',
    extensions: { code, errors: errors.map(({ message, path, locations }) => ({ message, path, locations })) },
  })
}

/** Answers with CSV or NDJSON instead of JSON where `Accept` asks for it. */
export const tablePlugin = (): Plugin<object, RequestContext> => ({
  onResultProcess: (process) => {
    const { request, result, serverContext } = process
    const mediaType = wanted(request.headers.get('accept'))
    if (!mediaType || Array.isArray(result)) return
    const { data, errors } = result as Answer
    const { operation } = serverContext as RequestContext
    process.setResultProcessor((_result, { Response }) => {
      if ((errors && errors.length > 0) || !operation) {
        const from = refusal(errors ?? [])
        return new Response(problemBody(from), { status: from.status, headers: { 'content-type': PROBLEM_TYPE } })
      }
      const { type, write } = FORMATS[mediaType]
      return new Response(write(flatOf(data, operation)), { status: 200, headers: { 'content-type': type } })
    }, mediaType)
  },
})
