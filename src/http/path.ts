/** The path alone: a query may hold a key. */
export const pathOf = (url: string): string => url.split('?', 1)[0]!
