import { publicError } from '../errors.ts'
import type { PageInfoShape } from './common.ts'

/** A page of things that are all in memory. */
export interface Page<T> {
  page: T[]
  pageInfo: PageInfoShape
  totalCount: number
}

/** Rows of a page. */
export const LARGEST = 1_000

/** @throws {GraphQLError} INVALID_ARGUMENT */
export const pageOf = <T>(
  all: readonly T[],
  cursorOf: (item: T) => string,
  { first, after }: { first: number; after?: string | null | undefined },
): Page<T> => {
  if (!Number.isInteger(first) || first < 1 || first > LARGEST)
    throw publicError('INVALID_ARGUMENT', `first is ${first}; allowed is a whole number from 1 to ${LARGEST}`, {
      argument: 'first',
    })
  const place = after ? all.findIndex((item) => cursorOf(item) === after) : -1
  if (after && place < 0)
    throw publicError(
      'INVALID_ARGUMENT',
      `after is ${JSON.stringify(after)}; allowed is a cursor from an earlier answer`,
      { argument: 'after' },
    )
  const page = all.slice(place + 1, place + 1 + first)
  return {
    page,
    totalCount: all.length,
    pageInfo: {
      hasNextPage: place + 1 + first < all.length,
      hasPreviousPage: place >= 0,
      startCursor: page[0] ? cursorOf(page[0]) : null,
      endCursor: page.length > 0 ? cursorOf(page.at(-1)!) : null,
    },
  }
}
