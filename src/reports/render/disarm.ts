/** Longest texts, in characters as a reader counts them. */
export const LONGEST = {
  hostile: 90,
  cell: 120,
  label: 48,
  title: 120,
  headline: 200,
  sentence: 600,
  subject: 140,
  csv: 2000,
} as const

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })

/** Ends with … where something was cut off. Cuts between characters, never through one. */
export const cut = (text: string, longest: number): string => {
  if (text.length <= longest) return text
  // A character has a few code units; more are not looked at, so that 100,000 marks on one letter cost nothing.
  const head = [...graphemes.segment(text.slice(0, longest * 4))]
  if (head.length <= longest && text.length <= longest * 4) return text
  return `${head
    .slice(0, longest - 1)
    .map(({ segment }) => segment)
    .join('')
    .trimEnd()}…`
}

/** As it is written where it cannot be shown: `\u202e`. */
export const codeOf = (character: string): string => {
  const code = (character.codePointAt(0) ?? 0).toString(16)
  return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, '0')}`
}

/**
 * Shows what would be invisible, move the text around it or start a new line: control characters, bidi marks, zero-width
 * characters, tags, lone surrogates, fillers that look like nothing. Marks piled on one letter stop at three.
 */
export const visible = (text: string): string =>
  text
    .replace(
      /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\u034f\u17b4\u17b5\u180b-\u180f\u115f\u1160\u2028\u2029\u2800\u3164\uffa0]/gu,
      codeOf,
    )
    .replace(/[\ufe00-\ufe0f]/g, '')
    .replace(/(\p{M}{3})\p{M}+/gu, '$1')
    // Spaces of other widths are spaces.
    .replace(/\p{Zs}+/gu, ' ')

/** One clean line of at most so many characters. */
export const line = (text: string, longest: number): string => {
  // Only what can come into the result is worked on: a character grows to ten at most and never shrinks to less than one in four.
  const short = text.slice(0, longest * 8)
  return cut(visible(short).trim() + (short.length < text.length ? ' …' : ''), longest)
}

const HOST = /(?<![\w/.-])(?:[\p{L}\p{N}_-]+\.)+\p{L}{2,}/gu
const AFTER_SLASHES = /\/\/[^\s/]+/gu
const bracketed = (text: string): string => text.replaceAll('.', '[.]')

/**
 * What a visitor chose, cut short and written as those who handle such things write it, `http[:]//evil[.]example`: mail programs
 * make links of bare addresses on their own.
 */
export const hostile = (text: string, longest: number = LONGEST.hostile): string =>
  cut(
    line(text, longest * 2)
      .replace(AFTER_SLASHES, bracketed)
      .replace(HOST, bracketed)
      .replace(/:(?=\/\/)|(?<=\b(?:mailto|tel|javascript|data)):/giu, '[:]'),
    longest,
  )

/** What we or an analyst wrote: names of hosts stay as they are, but an address in it becomes no link either. */
export const prose = (text: string, longest: number): string =>
  cut(
    line(text, longest)
      .replace(/(?<=\w):\/\/[^\s/]+/gu, (part) => `[${part[0]}]${bracketed(part.slice(1))}`)
      .replace(/\bwww\./giu, (part) => bracketed(part)),
    longest,
  )

/** For HTML, in text and in attributes. A number and its percent sign stay on one line. */
export const escape = (text: string): string =>
  text.replace(/(?<=\d) (?=%)/g, '\u00a0').replace(/[&<>"'`]/g, (character) => `&#${character.charCodeAt(0)};`)

export const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u

/** For plain text, where nothing else keeps Hebrew or Arabic from changing places with the numbers beside it: one isolate, closed. */
export const isolated = (text: string): string => (RIGHT_TO_LEFT.test(text) ? `\u2068${text}\u2069` : text)

// A link holds a whole GraphQL query.
const LONGEST_LINK = 8000

/** An absolute address that cannot leave `publicUrl`, whatever `link` says. One that no program would follow leads to the start. */
export const absolute = (publicUrl: string, link: string): string => {
  const start = publicUrl.replace(/\/+$/, '')
  if (link.length > LONGEST_LINK) return `${start}/`
  const path = encodeURI(visible(link).trim().replace(/^\/+/, ''))
  // What was encoded already stays so, but for what need not be: links are a quarter of a mail.
  return `${start}/${path
    .replace(/%25(?=[0-9a-f]{2})/gi, '%')
    .replace(/(?<=\?.*)%(?:3a|2c)/gi, (code) => decodeURIComponent(code))}`
}
