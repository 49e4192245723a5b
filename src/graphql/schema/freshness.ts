import type { Asker, Freshness as FreshnessShape } from '../../analytics/index.ts'
import { askerOf, type Context } from '../context.ts'
import { builder } from '../builder.ts'

export const Freshness = builder.objectRef<FreshnessShape>('Freshness').implement({
  description: 'How far the store has got.',
  fields: (t) => ({
    ingestedThrough: t.expose('ingestedThrough', {
      type: 'DateTime',
      nullable: true,
      description: 'Timestamp of the newest request stored; null where there is none.',
    }),
    completeThrough: t.expose('completeThrough', {
      type: 'DateTime',
      description:
        'Nothing that arrived before is still on its way. Chart up to here, and nothing dips at the right edge.',
    }),
    rollupThrough: t.expose('rollupThrough', {
      type: 'DateTime',
      nullable: true,
      description:
        'Up to here every hour is closed: its roll-ups are made and its anomalies looked for. Null where none was within seven days.',
    }),
    lagSeconds: t.exposeFloat('lagSeconds', {
      description: 'How long the oldest row that is not yet stored has waited; 0 where none waits.',
    }),
  }),
})

export const freshnessFor = (context: Context): Promise<FreshnessShape> => {
  const asker: Asker = askerOf(context, 'freshness')
  return context.analytics.freshness(asker)
}
