import { namedExpressions, type Named, replaceWords, splitAt, withoutComments } from './tokens.ts'

/**
 * The SQL of a detector of the shared pass: `WITH expression AS name, … SELECT aggregate AS observed, … AS threshold, …
 * [HAVING condition]`. It has no FROM: it sees the columns of `requests`, one address at a time.
 */
export interface Aggregates {
  /** Of a row. */
  columns: Named[]
  /** Of an address. `observed` and `threshold` are among them, the others are details. */
  results: Named[]
  /** Besides observed >= threshold. */
  condition: string | undefined
}

/** What is wrong with it, or its parts. */
export const parseAggregates = (sql: string): Aggregates | string => {
  const [before, body, ...more] = splitAt(withoutComments(sql).replace(/;\s*$/, ''), 'SELECT')
  if (body === undefined || more.length > 0) return 'it needs one SELECT'
  if (before !== '' && !/^WITH\b/i.test(before!))
    return `it begins with ${JSON.stringify(before!.slice(0, 40))}, not with WITH or SELECT`
  const columns = before === '' ? [] : namedExpressions(before!.replace(/^WITH\b/i, ''))
  if (!columns) return 'each expression of WITH needs a name: expression AS name'
  const [list, condition, ...rest] = splitAt(body, 'HAVING')
  if (rest.length > 0) return 'it has two HAVING'
  const results = namedExpressions(list!)
  if (!results) return 'each expression of SELECT needs a name: expression AS name'
  for (const name of ['observed', 'threshold'])
    if (!results.some((result) => result.name === name)) return `its SELECT lacks ${name}`
  return { columns, results, condition }
}

/** The same with names that no other detector has. */
export const qualify = ({ columns, results, condition }: Aggregates, prefix: string): Aggregates => {
  const names = new Set([...columns, ...results].map(({ name }) => name))
  const rename = (text: string): string =>
    replaceWords(text, (word) => (names.has(word) ? `${prefix}__${word}` : undefined))
  const renamed = (list: readonly Named[]): Named[] =>
    list.map(({ name, expression }) => ({ name: `${prefix}__${name}`, expression: rename(expression) }))
  return { columns: renamed(columns), results: renamed(results), condition: condition && rename(condition) }
}
