import type { Backtest as BacktestShape } from '../../detection/index.ts'
import { StoreError } from '../../store/index.ts'
import { builder } from '../builder.ts'
import { askerOf } from '../context.ts'
import { publicError } from '../errors.ts'
import { checkAllServices, parametersOf } from './detector-changes.ts'
import { TimeRangeInput } from './inputs.ts'

type Hit = BacktestShape['sample'][number]

const BacktestHit = builder.objectRef<Hit>('BacktestHit').implement({
  description: 'What a detector would have found, flat.',
  fields: (t) => ({
    ip: t.expose('ip', { type: 'IPAddress', description: 'Of a /64 the lowest address that was seen.' }),
    windowFrom: t.field({
      type: 'DateTime',
      description: 'Where it looks from.',
      resolve: ({ window }) => window.from,
    }),
    windowTo: t.field({ type: 'DateTime', description: 'The end of the hour.', resolve: ({ window }) => window.to }),
    observed: t.exposeFloat('observed', { description: "In the detector's unit." }),
    threshold: t.exposeFloat('threshold', { description: 'In the same.' }),
    score: t.exposeFloat('score', { description: '0 to 100.' }),
    requests: t.expose('requests', { type: 'SafeInt', description: 'Of the address in the window.' }),
    target: t.exposeString('target', { nullable: true, description: 'The path most asked for among the evidence.' }),
    summary: t.exposeString('summary', { description: 'For people.' }),
  }),
})

const Backtest = builder.objectRef<BacktestShape>('Backtest').implement({
  description: 'What a detector would have flagged. Addresses are counted once, however often they would have been.',
  fields: (t) => ({
    windows: t.exposeInt('windows', { description: 'Closed hours of the range that were looked at.' }),
    flagged: t.expose('flagged', { type: 'SafeInt', description: 'Addresses.' }),
    flaggedAlreadyConfirmed: t.expose('flaggedAlreadyConfirmed', {
      type: 'SafeInt',
      description: 'Of these, such as people called attackers.',
    }),
    flaggedAlreadyFalsePositive: t.expose('flaggedAlreadyFalsePositive', {
      type: 'SafeInt',
      description: 'Of these, such as people called none.',
    }),
    flaggedNew: t.expose('flaggedNew', {
      type: 'SafeInt',
      description: 'Of these, such as no detector has ever flagged, as far as findings are kept.',
    }),
    sample: t.field({
      type: [BacktestHit],
      description: 'The worst window of each of the worst addresses, 20 at most.',
      resolve: ({ sample }) => sample,
    }),
    elapsedMs: t.exposeFloat('elapsedMs', { description: 'What it took.' }),
  }),
})

builder.queryField('backtestDetector', (t) =>
  t.field({
    type: Backtest,
    authScopes: { scope: 'SECURITY_READ' },
    description:
      'What a detector would have flagged with these parameters in the hours of a range that are closed, 60 days at most; its mode does not matter, and whom exceptions or the block list exempt now is left out. Scope SECURITY_READ, by a key that is bound to no services.',
    args: {
      id: t.arg.id({ required: true, description: 'Of the detector.' }),
      parameters: t.arg({
        type: 'JSON',
        description: 'By name, as in setDetector. Those that are not named are as they are set.',
      }),
      timeRange: t.arg({ type: TimeRangeInput, required: true, description: 'Its whole hours.' }),
    },
    resolve: async (_root, { id, parameters, timeRange }, context) => {
      checkAllServices(context)
      try {
        return await context.detection.backtest(
          { id, parameters: parametersOf(parameters), timeRange },
          askerOf(context, 'backtestDetector'),
        )
      } catch (error) {
        if (!(error instanceof StoreError) || error.code === 'UNAVAILABLE') throw error
        throw publicError('INVALID_ARGUMENT', error.message, { argument: error.field ?? 'id' })
      }
    },
  }),
)
