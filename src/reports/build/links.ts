/** A page that asks the question: GraphiQL opens with it. Below PUBLIC_URL. */
export const queryLink = (query: string): string => `/graphql?query=${encodeURIComponent(query)}`
