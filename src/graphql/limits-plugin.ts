import type { ExecutionArgs, ExecutionResult, GraphQLError, ParseOptions } from 'graphql'
import type { Plugin } from 'graphql-yoga'

import type { RequestContext } from './context.ts'
import { MAX_COST, priceOf } from './cost.ts'
import { publicError, statusOf } from './errors.ts'
import { type Purse, rateLimited } from './points-plugin.ts'
import { operationOf } from './selection.ts'
import { aliasRule, depthRule, MAX_TOKENS } from './shape-rules.ts'

/** Prices what is about to run. @returns why it must not; undefined: it may */
const refusalOf = async (purse: Purse, args: ExecutionArgs): Promise<GraphQLError | undefined> => {
  const context = args.contextValue as RequestContext
  context.operation = operationOf(args)
  context.cost = context.operation ? priceOf(context.operation) : 0
  if (context.cost <= MAX_COST) return (await purse.spend(context, context.cost)) ? undefined : rateLimited(context)
  return publicError(
    'QUERY_TOO_EXPENSIVE',
    `the operation costs ${context.cost} points; ${MAX_COST} are allowed: send several, or ask for less`,
    { cost: context.cost, maxCost: MAX_COST, http: { status: 422 } },
  )
}

/**
 * Refuses what is too large, or more than the key has points left for, before it runs. The price is that of the operation
 * that runs, with its variables; of a subscription it is paid once.
 */
export const limitsPlugin = (purse: Purse): Plugin<object, RequestContext> => ({
  onParse: ({ parseFn, setParseFn }) => {
    setParseFn((source: string, options?: ParseOptions) => parseFn(source, { ...options, maxTokens: MAX_TOKENS }))
  },
  onValidate: ({ addValidationRule }) => {
    addValidationRule(depthRule)
    addValidationRule(aliasRule)
  },
  onExecute: async ({ args, setResultAndStopExecution }) => {
    const refusal = await refusalOf(purse, args)
    if (refusal) setResultAndStopExecution({ errors: [refusal] })
  },
  onSubscribe: async ({ args, setResultAndStopExecution }) => {
    const refusal = await refusalOf(purse, args)
    if (refusal) setResultAndStopExecution({ errors: [refusal] })
  },
})

/** Errors that came before execution (syntax, validation, our own limits) bring their status along. */
const hasStatus = (error: GraphQLError): boolean => error.extensions?.http !== undefined

/** An answer without any data is refused with the status that its errors call for; one with some is 200. */
export const statusPlugin = (): Plugin => ({
  onResultProcess: (process) => {
    const { data, errors, extensions } = process.result as ExecutionResult
    if (!errors || errors.length === 0 || errors.some(hasStatus)) return
    const isEmpty = !data || Object.values(data).every((value) => value === null)
    if (!isEmpty) return
    const status = statusOf(errors)
    const headers = status === 503 ? { 'retry-after': '5' } : {}
    process.setResult({ data, errors, extensions: { ...extensions, http: { status, headers } } })
  },
})
