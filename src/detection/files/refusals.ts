import type { Misfit } from './header.ts'
import { isWord, tokensOf } from './tokens.ts'

/** What a detector of an operator's own may read, beside its own WITH. */
export const RELATIONS = ['requests', 'address_hours', 'probes', 'user_hours', 'findings', 'crawlers']

/** They change something, or lead out of the one SELECT that a detector is. */
const STATEMENTS =
  /^(?:ALTER|ATTACH|BACKUP|CREATE|DELETE|DETACH|DROP|EXCHANGE|FORMAT|GRANT|INSERT|INTO|KILL|OPTIMIZE|OUTFILE|RENAME|RESTORE|REVOKE|SETTINGS|SYSTEM|TRUNCATE|UNDROP|UPDATE)$/i

/** They read files, networks, other databases and other tables, run programs, or wait. */
const FUNCTIONS =
  /^(?:arrowFlight|azureBlobStorage|catBoostEvaluate|cluster|clusterAllReplicas|cosn|delta\w*|dict\w*|executable|file|fileCluster|gcs|hdfs|hudi|iceberg|input|jdbc|joinGet\w*|loop|merge|mergeTree\w*|mongodb|mysql|odbc|oss|paimon|postgresql|prometheus\w*|python|redis|remote|remoteSecure|s3|sleep\w*|sqlite|timeSeries\w*|url|view\w*|ytsaurus|(?:azureBlobStorage|delta\w*|hdfs|hudi|iceberg\w*|paimon\w*|s3|url)(?:Cluster|Local|Azure|S3|HDFS)?)$/i

/** Each opens what only its like closes. */
const CLOSES: ReadonlyMap<string, string> = new Map([
  [')', '('],
  [']', '['],
])

/** Names that the WITH of a statement gives to its own tables: `name AS (`. */
const ownTables = (tokens: readonly string[]): Set<string> =>
  new Set(
    tokens.filter(
      (token, index) => isWord(token) && tokens[index + 1]?.toUpperCase() === 'AS' && tokens[index + 2] === '(',
    ),
  )

/**
 * Looks for what a slip of the hand could do: an operator is trusted with a detector's SQL, which reads what Vedette may read,
 * but it is to be one SELECT that changes nothing and stays inside. It is no wall against malice.
 * @param own whether it may read the window's relations alone
 * @param firstLine of the SQL in its file
 */
export const refuse = (sql: string, { own, firstLine }: { own: boolean; firstLine: number }): Misfit | undefined => {
  const placed: { token: string; line: number }[] = []
  let line = firstLine
  for (const token of tokensOf(sql)) {
    if (token.trim() !== '' && !token.startsWith('--')) placed.push({ token, line })
    line += token.split('\n').length - 1
  }
  const tokens = placed.map(({ token }) => token)
  const tables = ownTables(tokens)
  const open: string[] = []
  for (const [index, { token, line }] of placed.entries()) {
    const [before, next] = [tokens[index - 1]?.toUpperCase(), tokens[index + 1]]
    const says = (message: string): Misfit => ({ line, message })
    if (token === '(' || token === '[') open.push(token)
    if (CLOSES.get(token) && open.pop() !== CLOSES.get(token)) return says(`${token} closes nothing`)
    if (token === ';' && next !== undefined) return says('there is a second statement; a detector is one')
    if (["'", '"', '`', '$', '#'].includes(token) || (token === '/' && next === '*'))
      return says(
        `${token === '/' ? '/*' : token} is not read here; texts stand in '…', comments behind --, names without quotes`,
      )
    if (!isWord(token)) continue
    if (next === '(' ? FUNCTIONS.test(token) : STATEMENTS.test(token))
      return says(
        `${token}${next === '(' ? '()' : ''} is not allowed: a detector reads its window and nothing else, and changes nothing`,
      )
    const isTable = before === 'FROM' || (before === 'JOIN' && tokens[index - 2]?.toUpperCase() !== 'ARRAY')
    if (own && isTable && next !== '(' && !RELATIONS.includes(token) && !tables.has(token))
      return says(`it reads ${token}; allowed are ${RELATIONS.join(', ')}, and tables of its own WITH`)
  }
  return open.length > 0 ? { line, message: `a ${open.at(-1)} is never closed` } : undefined
}
