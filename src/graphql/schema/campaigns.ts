import type { Campaign as CampaignShape, CampaignOf, Range } from '../../detection/index.ts'
import { builder } from '../builder.ts'
import { askerOf, type Context } from '../context.ts'
import { CountMode, Node, PageInfo } from './common.ts'
import { TimeRangeInput } from './inputs.ts'
import { type Page, pageOf } from './pages.ts'

const SharedBy = builder.enumType('CampaignTie', {
  description: 'What ties addresses together, the most telling first.',
  values: {
    FINGERPRINT: {
      description:
        'A group that a detector found, or the same user agent: an unusual one, or with the same foreign referer, or the same rare target in the same hours.',
    },
    NETWORK: { description: 'The same /24 (IPv6: /48), or, where they are many, the same autonomous system.' },
    TARGET: { description: 'The same target in the same hours, for which hardly anybody asks at other times.' },
  },
} as const)

export const Campaign = builder.objectRef<CampaignShape>('Campaign').implement({
  description:
    'Suspicious addresses that act as one: three at least. Each belongs to one campaign at most; looked for among the 10,000 worst.',
  interfaces: [Node],
  isTypeOf: (value) => typeof value === 'object' && value !== null && 'sharedBy' in value && 'ips' in value,
  fields: (t) => ({
    id: t.id({ description: 'The same for the same tie.', resolve: ({ id }) => id }),
    summary: t.exposeString('summary', { description: 'What they share, for people.' }),
    sharedBy: t.expose('sharedBy', { type: SharedBy, description: 'What ties them together.' }),
    ips: t.field({ type: ['IPAddress'], description: 'The addresses, in order.', resolve: ({ ips }) => [...ips] }),
    firstSeenAt: t.expose('firstSeenAt', { type: 'DateTime', description: 'Of the first of them.' }),
    lastSeenAt: t.expose('lastSeenAt', { type: 'DateTime', description: 'Of the last of them.' }),
    requests: t.expose('requests', { type: 'SafeInt', description: 'Of all of them together.' }),
  }),
})

const CampaignEdge = builder.objectRef<CampaignShape>('CampaignEdge').implement({
  description: 'A campaign and its place.',
  fields: (t) => ({
    cursor: t.string({ description: 'For after.', resolve: ({ id }) => id }),
    node: t.field({ type: Campaign, description: 'The campaign.', resolve: (campaign) => campaign }),
  }),
})

const CampaignConnection = builder.objectRef<Page<CampaignShape>>('CampaignConnection').implement({
  description: 'A page of campaigns.',
  fields: (t) => ({
    edges: t.field({
      type: [CampaignEdge],
      description: 'Campaigns with their places.',
      resolve: ({ page }) => page,
    }),
    nodes: t.field({ type: [Campaign], description: 'Campaigns alone.', resolve: ({ page }) => page }),
    pageInfo: t.field({ type: PageInfo, description: 'Where the page lies.', resolve: ({ pageInfo }) => pageInfo }),
    totalCount: t.field({
      type: 'SafeInt',
      nullable: true,
      description: 'Campaigns of all pages together; null for mode NONE.',
      args: { mode: t.arg({ type: CountMode, required: true, defaultValue: 'EXACT', description: 'How to count.' }) },
      resolve: ({ totalCount }, { mode }) => (mode === 'NONE' ? null : totalCount),
    }),
  }),
})

const found = new WeakMap<Context, Map<string, Promise<CampaignOf[]>>>()

/** Once for all who ask in one operation. */
const campaignsIn = (range: Range | undefined, context: Context): Promise<CampaignOf[]> => {
  const ofContext = found.get(context) ?? new Map<string, Promise<CampaignOf[]>>()
  found.set(context, ofContext)
  const key = JSON.stringify(range)
  const campaigns =
    ofContext.get(key) ??
    context.suspicious.campaigns(range ?? context.suspicious.rangeOf(), askerOf(context, 'campaigns'))
  ofContext.set(key, campaigns)
  return campaigns
}

/** The one that the address belongs to. */
export const campaignOf = async (address: string, range: Range | undefined, context: Context) =>
  (await campaignsIn(range, context)).find(({ addresses }) => addresses.includes(address))?.campaign

/** Of all that is kept. */
export const findCampaign = async (id: string, context: Context) =>
  (await campaignsIn(undefined, context)).find(({ campaign }) => campaign.id === id)?.campaign

builder.queryField('campaigns', (t) =>
  t.field({
    type: CampaignConnection,
    authScopes: { scope: 'SECURITY_READ' },
    description: 'Suspicious addresses that act as one, the largest groups first. Scope SECURITY_READ.',
    args: {
      timeRange: t.arg({ type: TimeRangeInput, required: true, description: 'Of findings of hours that touch it.' }),
      first: t.arg.int({ required: true, defaultValue: 100, description: '1,000 at most.' }),
      after: t.arg.string({ description: 'endCursor of the page before.' }),
    },
    resolve: async (_root, { timeRange, first, after }, context) => {
      const campaigns = await campaignsIn(context.suspicious.rangeOf(timeRange), context)
      return pageOf(
        campaigns.map(({ campaign }) => campaign),
        ({ id }) => id,
        { first, after },
      )
    },
  }),
)
