import SchemaBuilder from '@pothos/core'
import ScopeAuthPlugin, { type AuthFailure } from '@pothos/plugin-scope-auth'

import type { Interval } from '../analytics/index.ts'
import { holds, type Scope } from '../http/index.ts'
import type { Context } from './context.ts'
import { publicError } from './errors.ts'

const wantedScopes = (failure: AuthFailure): string[] => {
  if ('parameter' in failure) return [String(failure.parameter)]
  return 'failures' in failure ? failure.failures.flatMap(wantedScopes) : []
}

/** The Pothos builder that every domain of the schema adds its types to. */
export const builder = new SchemaBuilder<{
  Context: Context
  AuthScopes: { scope: Scope }
  DefaultFieldNullability: false
  Scalars: {
    ID: { Input: string; Output: string }
    DateTime: { Input: Date; Output: Date }
    IPAddress: { Input: string; Output: string }
    CIDR: { Input: string; Output: string }
    SafeInt: { Input: number; Output: number | bigint }
    TimeZone: { Input: string; Output: string }
    Interval: { Input: Interval; Output: Interval }
    JSON: { Input: unknown; Output: unknown }
  }
}>({
  plugins: [ScopeAuthPlugin],
  defaultFieldNullability: false,
  scopeAuth: {
    // Before the first event, not with it.
    authorizeOnSubscribe: true,
    authScopes: ({ principal }) => ({ scope: (wanted) => holds(principal, wanted) }),
    unauthorizedError: (_parent, { principal }, info, { failure }) => {
      const wanted = wantedScopes(failure).join(' or ')
      return publicError(
        'FORBIDDEN',
        `${info.parentType.name}.${info.fieldName} needs an API key with scope ${wanted}; the key "${principal.name}" has ${[...principal.scopes].join(', ')}`,
        { scope: wanted },
      )
    },
  },
})

builder.queryType({ description: 'What can be asked.' })
builder.mutationType({ description: 'What can be changed.' })
builder.subscriptionType({ description: 'What is told as it happens, over SSE (`Accept: text/event-stream`).' })
