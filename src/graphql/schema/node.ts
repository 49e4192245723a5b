import { isObjectType } from 'graphql'

import { holds, type Scope } from '../../http/index.ts'
import { builder } from '../builder.ts'
import type { Context } from '../context.ts'
import { publicError } from '../errors.ts'
import { selectionOf } from '../selection.ts'
import { API_KEY_ID } from './api-keys.ts'
import { Node } from './common.ts'
import { findRequestLog, REQUEST_LOG_ID } from './request-logs.ts'

const check = ({ principal }: Context, type: string, scope: Scope): void => {
  if (!holds(principal, scope))
    throw publicError('FORBIDDEN', `a node of type ${type} needs an API key with scope ${scope}`, { scope })
}

builder.queryField('node', (t) =>
  t.field({
    type: Node,
    nullable: true,
    description:
      'Anything by its id, with the scope that its type needs: RequestLog LOGS_READ, ApiKey ADMIN. Null: there is none such, or not for this key.',
    args: { id: t.arg.id({ required: true, description: 'From an earlier answer.' }) },
    resolve: async (_root, { id }, context, info) => {
      if (id.startsWith(API_KEY_ID)) {
        check(context, 'ApiKey', 'ADMIN')
        return context.keys.get(id) ?? null
      }
      if (id.startsWith(REQUEST_LOG_ID)) {
        check(context, 'RequestLog', 'LOGS_READ')
        const type = info.schema.getType('RequestLog')
        return (await findRequestLog(id, isObjectType(type) ? selectionOf(info, type) : [], context)) ?? null
      }
      return null
    },
  }),
)
