import { builder } from '../builder.ts'

export const Node = builder.interfaceRef<object>('Node').implement({
  description: 'Anything that can be found again by its id.',
  fields: (t) => ({
    id: t.id({
      description: 'The same in every answer.',
      resolve: () => {
        throw new TypeError('every Node has an id of its own')
      },
    }),
  }),
})

export interface PageInfoShape {
  hasNextPage: boolean
  hasPreviousPage: boolean
  startCursor: string | null
  endCursor: string | null
}

export const PageInfo = builder.objectRef<PageInfoShape>('PageInfo').implement({
  description: 'Where a page lies among the others.',
  fields: (t) => ({
    hasNextPage: t.exposeBoolean('hasNextPage', { description: 'Whether rows follow.' }),
    hasPreviousPage: t.exposeBoolean('hasPreviousPage', { description: 'Whether rows precede.' }),
    startCursor: t.exposeString('startCursor', { nullable: true, description: 'Of the first row, for `before`.' }),
    endCursor: t.exposeString('endCursor', { nullable: true, description: 'Of the last row, for `after`.' }),
    nextCursor: t.string({
      nullable: true,
      description: 'endCursor, but null on the last page, so that readers which go on until there is none stop.',
      resolve: ({ hasNextPage, endCursor }) => (hasNextPage ? endCursor : null),
    }),
  }),
})

export const CountMode = builder.enumType('CountMode', {
  description: 'How rows are counted.',
  values: {
    NONE: { description: 'Not at all: null.' },
    ESTIMATE: {
      description:
        'Exactly up to two million rows to read; beyond, from one block of rows in 16, within some ten percent.',
    },
    EXACT: { description: 'One by one.' },
  },
} as const)

export const OrderDirection = builder.enumType('OrderDirection', {
  description: 'Rising or falling. What is absent comes last either way.',
  values: { ASC: { description: 'Smallest first.' }, DESC: { description: 'Largest first.' } },
} as const)
