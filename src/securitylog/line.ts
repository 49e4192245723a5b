import type { SecurityEvent } from './types.ts'

/** Strangers choose paths, users and names; longer ones are cut and end with `…`. In UTF-16 units. */
const LONGEST_TEXT = 500
/** What JSON leaves as it is, and a terminal or an editor does not show as it is: controls, direction marks, line separators. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu
/** Our keys, wherever a stranger has put one; the prefix that lists of keys show is left to know it by. */
const KEY = /\b(vdt_\w{6})\w+/g

const escape = (character: string): string =>
  Array.from(
    { length: character.length },
    (_, unit) => String.raw`\u${character.charCodeAt(unit).toString(16).padStart(4, '0')}`,
  ).join('')

/** Nearly every line; the classes of Unicode are slow to look for. */
const PLAIN = /^[\x20-\x7e]*$/

/** The same text with what cannot be seen, or moves what can, as escapes: fit for a terminal. */
export const visible = (text: string): string => (PLAIN.test(text) ? text : text.replaceAll(INVISIBLE, escape))

const bounded = (value: string): string => {
  const text = value.includes('vdt_') ? value.replaceAll(KEY, '$1…') : value
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text
}

/** One line of JSON with its line end: `time` first, then `event`. A path's query is left out: it may hold secrets. */
export const lineOf = (time: number, { event, ...rest }: SecurityEvent): string => {
  const entry: Record<string, unknown> = { time: new Date(time).toISOString(), event }
  for (const [name, value] of Object.entries(rest)) {
    const text = name === 'path' ? String(value).split('?', 1)[0]! : value
    entry[name] = typeof text === 'string' ? bounded(text) : text
  }
  return `${visible(JSON.stringify(entry))}\n`
}
