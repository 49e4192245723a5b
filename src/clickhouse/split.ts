/**
 * Splits a file of SQL into its statements at `;`, leaving alone those in strings, quoted names and comments. Statements of
 * comments only are left out.
 */
export const splitStatements = (text: string): string[] => {
  const statements: string[] = []
  let current = ''
  let empty = true
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === ';') {
      if (!empty) statements.push(current.trim())
      current = ''
      empty = true
      continue
    }
    if (!/^(?:\s|--|#|\/\*)/.test(token)) empty = false
    current += token
  }
  if (!empty) statements.push(current.trim())
  return statements
}

/** A string, a quoted name, a comment, white space, or any other character by itself. An open string goes to the end. */
const TOKEN =
  /'(?:[^'\\]|\\.|'')*(?:'|$)|"(?:[^"\\]|\\.)*(?:"|$)|`(?:[^`\\]|\\.)*(?:`|$)|--[^\n]*|#!?[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|\s+|[^]/gs
