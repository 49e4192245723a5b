import type { Detector as DetectorShape, DetectorException as ExceptionShape } from '../../detection/index.ts'
import { StoreError } from '../../store/index.ts'
import { builder } from '../builder.ts'
import type { Context } from '../context.ts'
import { publicError } from '../errors.ts'
import { Detector, DetectorException, DetectorModeEnum } from './detectors.ts'
import { attempt, UserError, type UserErrorShape } from './user-errors.ts'

/** Detectors judge the traffic of all services at once. @throws {GraphQLError} FORBIDDEN */
export const checkAllServices = ({ principal }: Context): void => {
  if (principal.services === null) return
  throw publicError(
    'FORBIDDEN',
    `detectors work for all services, and the key "${principal.name}" is for ${principal.services.join(', ')} alone; use a key that is bound to none`,
  )
}

/** JSON of an argument that is to be an object. */
export const parametersOf = (given: unknown): Record<string, unknown> => {
  if (given === undefined || given === null) return {}
  if (typeof given === 'object' && !Array.isArray(given)) return given as Record<string, unknown>
  throw new StoreError('INVALID', `parameters is ${JSON.stringify(given)}; allowed is an object {name: value, …}`, {
    field: 'parameters',
  })
}

const USER_ERRORS = 'Why nothing was changed; empty: it was.'

interface DetectorPayload {
  detector: DetectorShape | null
  userErrors: UserErrorShape[]
}

const DetectorPayload = builder.objectRef<DetectorPayload>('DetectorPayload').implement({
  description: 'What became of a change of a detector.',
  fields: (t) => ({
    detector: t.field({
      type: Detector,
      nullable: true,
      description: 'As it is now.',
      resolve: ({ detector }) => detector,
    }),
    userErrors: t.field({ type: [UserError], description: USER_ERRORS, resolve: ({ userErrors }) => userErrors }),
  }),
})

/** `parameters.paths` is the path of `paths` in the argument `parameters`. */
const inParts = ({ field, ...error }: UserErrorShape): UserErrorShape => ({
  ...error,
  field: field && field.flatMap((name) => name.split('.')),
})

builder.mutationField('setDetector', (t) =>
  t.field({
    type: DetectorPayload,
    authScopes: { scope: 'SECURITY_WRITE' },
    description:
      'Sets the mode of a detector, some of its parameters, or both; the hour that is closed next is judged by it, and those that are run again. Scope SECURITY_WRITE, by a key that is bound to no services.',
    args: {
      id: t.arg.id({ required: true, description: 'Of the detector.' }),
      mode: t.arg({ type: DetectorModeEnum, description: 'Absent: as it is.' }),
      parameters: t.arg({
        type: 'JSON',
        description:
          'By name, each within its range (see parameterDefinitions); null: its default. Those that are not named stay as they are.',
      }),
      expectedVersion: t.arg.int({
        description: 'The version that was read before the change; another one by now: CONFLICT.',
      }),
    },
    resolve: async (_root, { id, mode, parameters, expectedVersion }, context) => {
      checkAllServices(context)
      const payload = await attempt<Omit<DetectorPayload, 'userErrors'>>({ detector: null }, async () => ({
        detector: await context.detection.detectors.set(
          id,
          { mode: mode ?? undefined, parameters: parametersOf(parameters) },
          {
            by: context.principal.keyId,
            ...(typeof expectedVersion === 'number' && { expectedVersion }),
          },
        ),
      }))
      return { ...payload, userErrors: payload.userErrors.map(inParts) }
    },
  }),
)

interface ExceptionPayload {
  exception: ExceptionShape | null
  userErrors: UserErrorShape[]
}

const DetectorExceptionPayload = builder.objectRef<ExceptionPayload>('DetectorExceptionPayload').implement({
  description: 'What became of a change of what detectors are to leave alone.',
  fields: (t) => ({
    exception: t.field({
      type: DetectorException,
      nullable: true,
      description: 'As it is now; a removed one as it was.',
      resolve: ({ exception }) => exception,
    }),
    userErrors: t.field({ type: [UserError], description: USER_ERRORS, resolve: ({ userErrors }) => userErrors }),
  }),
})

const NOTHING: Omit<ExceptionPayload, 'userErrors'> = { exception: null }

const AddDetectorExceptionInput = builder.inputType('AddDetectorExceptionInput', {
  description: 'What a detector is to leave alone: cidr, pathPattern, or the one only where the other holds.',
  fields: (t) => ({
    detector: t.id({ description: 'Id of a detector. Default: every one.' }),
    cidr: t.field({
      type: 'CIDR',
      description: 'Addresses. Of IPv6 a /64 is counted as one, so an address excepts its /64. Default: any.',
    }),
    pathPattern: t.string({
      description: 'Paths, as policies have them: /healthz, /api/*. Requests for them prove nothing. Default: any.',
    }),
    note: t.string({ required: true, description: 'Why, for those who look at it later.' }),
  }),
})

builder.mutationField('addDetectorException', (t) =>
  t.field({
    type: DetectorExceptionPayload,
    authScopes: { scope: 'SECURITY_WRITE' },
    description:
      'Has a detector, or all of them, leave something alone from the hour on that is closed next. Scope SECURITY_WRITE, by a key that is bound to no services.',
    args: { input: t.arg({ type: AddDetectorExceptionInput, required: true, description: 'What, and why.' }) },
    resolve: async (_root, { input }, context) => {
      checkAllServices(context)
      const { detector, cidr, pathPattern, note } = input
      const payload = await attempt(NOTHING, async () => ({
        exception: await context.detection.detectors.addException(
          { detector: detector ?? undefined, cidr, pathPattern, note },
          { by: context.principal.keyId },
        ),
      }))
      return {
        ...payload,
        userErrors: payload.userErrors.map((error) => ({ ...error, field: ['input', ...(error.field ?? [])] })),
      }
    },
  }),
)

builder.mutationField('removeDetectorException', (t) =>
  t.field({
    type: DetectorExceptionPayload,
    authScopes: { scope: 'SECURITY_WRITE' },
    description: 'Ends an exception. Scope SECURITY_WRITE, by a key that is bound to no services.',
    args: { id: t.arg.id({ required: true, description: 'Of the exception.' }) },
    resolve: (_root, { id }, context) => {
      checkAllServices(context)
      return attempt(
        NOTHING,
        async () => ({
          exception: await context.detection.detectors.removeException(id, { by: context.principal.keyId }),
        }),
        'id',
      )
    },
  }),
)
