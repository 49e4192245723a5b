import { BLOCK_DURATIONS } from '../../detection/index.ts'
import { builder } from '../builder.ts'
import { askerOf, type Context } from '../context.ts'
import { publicError } from '../errors.ts'
import { described, ReviewStatusEnum, type Suspect, SuspiciousIp } from './suspicious-ips.ts'
import { attempt, UserError, type UserErrorShape } from './user-errors.ts'

const BlockDuration = builder.enumType('BlockDuration', {
  description: 'How long an address is blocked.',
  values: described(BLOCK_DURATIONS, {
    ONE_HOUR: 'An hour.',
    ONE_DAY: 'A day.',
    ONE_WEEK: 'A week.',
    FOREVER: 'Until somebody takes it off.',
  }),
})

const ReviewSuspiciousIpsInput = builder.inputType('ReviewSuspiciousIpsInput', {
  description: 'A verdict on suspicious addresses.',
  fields: (t) => ({
    ids: t.idList({ required: true, description: 'Of the addresses, 1,000 at most.' }),
    status: t.field({
      type: ReviewStatusEnum,
      required: true,
      description:
        'The verdict; OPEN takes one back. FALSE_POSITIVE takes a block off that a detector put on the address.',
    }),
    note: t.string({ description: 'Why, in 1,000 characters at most.' }),
    block: t.field({ type: BlockDuration, description: 'Blocks them as well. Not with FALSE_POSITIVE.' }),
    except: t.boolean({
      defaultValue: false,
      description: 'With FALSE_POSITIVE: the detectors that flagged an address leave it alone from now on.',
    }),
  }),
})

interface Payload {
  suspiciousIps: Suspect[]
  userErrors: UserErrorShape[]
}

const ReviewSuspiciousIpsPayload = builder.objectRef<Payload>('ReviewSuspiciousIpsPayload').implement({
  description: 'What became of a verdict.',
  fields: (t) => ({
    suspiciousIps: t.field({
      type: [SuspiciousIp],
      description: 'The addresses as they are now; empty: nothing was changed.',
      resolve: ({ suspiciousIps }) => suspiciousIps,
    }),
    userErrors: t.field({
      type: [UserError],
      description: 'Why nothing was changed; empty: it was.',
      resolve: ({ userErrors }) => userErrors,
    }),
  }),
})

const NOTHING: Omit<Payload, 'userErrors'> = { suspiciousIps: [] }

/** @throws {GraphQLError} FORBIDDEN */
const checkAllServices = ({ principal }: Context): void => {
  if (principal.services === null) return
  throw publicError(
    'FORBIDDEN',
    `a verdict holds for all services, and the key "${principal.name}" is for ${principal.services.join(', ')} alone; use a key that is bound to none`,
  )
}

builder.mutationField('reviewSuspiciousIps', (t) =>
  t.field({
    type: ReviewSuspiciousIpsPayload,
    authScopes: { scope: 'SECURITY_WRITE' },
    description:
      'Notes what people found out about addresses, and may block them; all or none. Precision of detectors is counted by it. Scope SECURITY_WRITE, by a key that is bound to no services, since a verdict holds for all.',
    args: { input: t.arg({ type: ReviewSuspiciousIpsInput, required: true, description: 'The verdict.' }) },
    resolve: (_root, { input: { ids, ...review } }, context) => {
      checkAllServices(context)
      return attempt(NOTHING, async () => {
        await context.suspicious.review(ids, review, { by: context.principal.keyId })
        const found = await context.suspicious.get(ids, askerOf(context, 'reviewSuspiciousIps'))
        return { suspiciousIps: found.filter((suspect) => suspect !== undefined) }
      })
    },
  }),
)
