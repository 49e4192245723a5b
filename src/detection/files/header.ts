/** What can be said in a detector's header, beside its description. */
export const KEYS = [
  'name',
  'severity',
  'mode',
  'window',
  'unit',
  'evidence',
  'probe',
  'parameter',
  'reference',
] as const
export type Key = (typeof KEYS)[number]

export interface Entry {
  key: Key
  value: string
  /** From 1. */
  line: number
}

export interface Header {
  /** Paragraphs, each on one line. */
  description: string
  entries: Entry[]
  sql: string
  /** Where the SQL begins, from 1. */
  sqlLine: number
}

/** A line that does not fit. */
export interface Misfit {
  line: number
  message: string
}

const isKey = (text: string | undefined): text is Key => KEYS.some((key) => key === text)

/**
 * Comment lines at the top: the description, then keys. A value goes on in lines that begin with two or more spaces; an empty
 * line says nothing. What follows the first line that is no comment is SQL.
 */
export const readHeader = (text: string): Header | Misfit => {
  const lines = text.replaceAll('\r\n', '\n').split('\n')
  const end = lines.findIndex((line) => !line.startsWith('--'))
  const head = end < 0 ? lines : lines.slice(0, end)
  const entries: Entry[] = []
  const description: string[] = []
  for (const [index, comment] of head.entries()) {
    const line = index + 1
    const said = comment.slice(2).replace(/^ /, '').trimEnd()
    const [, key, value] = /^(\w+): +(\S.*)$/.exec(said) ?? []
    const last = entries.at(-1)
    if (isKey(key)) entries.push({ key, value: value!, line })
    else if (!last) description.push(said)
    else if (/^ {2,}\S/.test(said)) last.value += ` ${said.trim()}`
    else if (said !== '')
      return {
        line,
        message: `${JSON.stringify(said)} is no key; allowed below the description are "key: value" with ${KEYS.join(', ')}, and lines that begin with two spaces and go on with the value above`,
      }
  }
  const rest = end < 0 ? [] : lines.slice(end)
  const blank = rest.findIndex((line) => line.trim() !== '')
  return {
    description: description
      .join('\n')
      .trim()
      .replaceAll(/(\S)\n(?=\S)/g, '$1 '),
    entries,
    sql: rest.join('\n').trim(),
    sqlLine: head.length + 1 + Math.max(0, blank),
  }
}
