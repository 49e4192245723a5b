import { StoreError } from '../../store/index.ts'
import { builder } from '../builder.ts'

export type UserErrorShape = {
  code: 'INVALID' | 'NOT_FOUND' | 'CONFLICT'
  message: string
  field: string[] | null
}

const UserErrorCode = builder.enumType('UserErrorCode', {
  description: 'Why a change was not made.',
  values: {
    INVALID: { description: 'What was given cannot be.' },
    NOT_FOUND: { description: 'There is none such.' },
    CONFLICT: { description: 'It was changed by somebody else meanwhile.' },
  },
} as const)

export const UserError = builder.objectRef<UserErrorShape>('UserError').implement({
  description: 'Why a change was not made; then nothing was.',
  fields: (t) => ({
    code: t.field({ type: UserErrorCode, description: 'For programs.', resolve: ({ code }) => code }),
    message: t.exposeString('message', { description: 'For people.' }),
    field: t.exposeStringList('field', { nullable: true, description: 'Path of the argument it is about.' }),
  }),
})

/**
 * The payload of a change. What the store refuses for the caller's sake is a user error beside `nothing`; that it is away is not.
 * @param argument that an error without a field is about
 */
export const attempt = async <T extends object>(
  nothing: T,
  work: () => Promise<T>,
  argument?: string,
): Promise<T & { userErrors: UserErrorShape[] }> => {
  try {
    return { ...(await work()), userErrors: [] }
  } catch (error) {
    if (!(error instanceof StoreError) || error.code === 'UNAVAILABLE') throw error
    const field = error.field ?? argument
    const userError = { code: error.code, message: error.message, field: field === undefined ? null : [field] }
    return { ...nothing, userErrors: [userError] }
  }
}
