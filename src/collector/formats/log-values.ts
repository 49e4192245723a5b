const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const TIME = /^(\d{2})\/([A-Z][a-z]{2})\/(\d{4}):(\d{2}:\d{2}:\d{2}(?:\.\d+)?) ([+-]\d{2})(\d{2})$/

/** `17/May/2015:10:05:03 +0000` → RFC 3339; anything else is left for the check of timestamps to refuse. */
export const logTime = (text: string): string => {
  const [, day, month, year, time, hours, minutes] = TIME.exec(text) ?? []
  const number = MONTHS.indexOf(month ?? '') + 1
  return number === 0 ? text : `${year}-${String(number).padStart(2, '0')}-${day}T${time}${hours}:${minutes}`
}

/** Servers write what would break the line as `\"`, `\\` or `\xHH`; runs of the last are bytes of UTF-8. */
export const unescape = (text: string): string =>
  text.includes('\\')
    ? text.replace(/(?:\\x[0-9A-Fa-f]{2})+|\\(.)/g, (escape, character: string | undefined) => {
        if (character !== undefined) return { n: '\n', r: '\r', t: '\t', v: '\v', b: '\b' }[character] ?? character
        return Buffer.from(escape.replaceAll('\\x', ''), 'hex').toString('utf8')
      })
    : text

export const given = (text: string | undefined): string | undefined =>
  text === undefined || text === '-' || text === '' ? undefined : unescape(text)

/**
 * `GET /a?b HTTP/1.1` → its parts. What is no HTTP request (a TLS hello, a port scan, `-` where the client said nothing)
 * is kept whole as the path of method `-`: such lines are what probing looks like.
 */
export const requestLine = (line: string): { method: string; path: string; protocol?: string } => {
  const [, method, path, protocol] = /^([A-Za-z_-]{1,32}) (\S.*?)(?: (HTTP\/\d(?:\.\d)?))?$/.exec(line) ?? []
  if (method === undefined || path === undefined) return { method: '-', path: line === '' ? '-' : line }
  return protocol === undefined ? { method, path } : { method, path, protocol }
}
