export interface Asker {
  url: string
  /** An API key with the scopes that the question needs. */
  key: string
}

interface Answer<T> {
  data?: T
  errors?: { message: string }[]
}

/**
 * Asks the service's own GraphQL API, as a stranger would.
 * @throws {Error} what the API said instead of an answer
 */
export const ask = async <T>({ url, key }: Asker, query: string, variables: object): Promise<T> => {
  const target = `${url}/graphql`
  const fail = (reason: string): never => {
    throw new Error(`the summary could not be read from ${target}: ${reason}`)
  }
  const response = await fetch(target, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', accept: 'application/json' },
    body: JSON.stringify({ query, variables }),
  }).catch(({ message, cause }: Error) => fail(cause instanceof Error ? `${message} (${cause.message})` : message))
  const text = await response.text()
  const answer = (text.startsWith('{') ? JSON.parse(text) : {}) as Answer<T>
  const reasons = answer.errors?.map(({ message }) => message).join('; ')
  if (!answer.data || reasons) return fail(`${response.status} ${reasons ?? text.slice(0, 300)}`)
  return answer.data
}
