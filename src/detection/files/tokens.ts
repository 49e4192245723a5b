/** A string, a comment, a parameter, a word (with dots), white space, or any other character by itself. */
const TOKEN = /'(?:[^'\\]|\\.|'')*'|--[^\n]*|\{\w+:[^{}]*\}|[A-Za-z_][\w.]*|\s+|[^]/g

export const tokensOf = (sql: string): string[] => sql.match(TOKEN) ?? []

export const isWord = (token: string | undefined): token is string => token !== undefined && /^[A-Za-z_]/.test(token)

/** Without comments, since text is put together on one line. */
export const withoutComments = (sql: string): string =>
  tokensOf(sql)
    .filter((token) => !token.startsWith('--'))
    .join('')
    .trim()

/** Replaces whole words that are neither in strings nor names of functions. */
export const replaceWords = (sql: string, replacement: (word: string) => string | undefined): string => {
  const tokens = tokensOf(sql)
  return tokens
    .map((token, index) => (isWord(token) && tokens[index + 1] !== '(' ? (replacement(token) ?? token) : token))
    .join('')
}

/** Splits at a separator that stands in no parentheses and no string. Words are told from each other without regard to case. */
export const splitAt = (sql: string, separator: string): string[] => {
  const parts: string[] = ['']
  let depth = 0
  for (const token of tokensOf(sql)) {
    if (token === '(' || token === '[') depth++
    if (token === ')' || token === ']') depth--
    if (depth === 0 && token.toUpperCase() === separator) parts.push('')
    else parts[parts.length - 1] += token
  }
  return parts.map((part) => part.trim())
}

export interface Named {
  name: string
  expression: string
}

/** `expression AS name, …`; undefined where one has no name. */
export const namedExpressions = (list: string): Named[] | undefined => {
  const named = splitAt(list, ',').map((part): Named | undefined => {
    const pieces = splitAt(part, 'AS')
    const name = pieces.at(-1)!
    return pieces.length === 2 && /^[a-z_]\w*$/.test(name) ? { name, expression: pieces[0]! } : undefined
  })
  return named.every((item) => item !== undefined) ? named : undefined
}
