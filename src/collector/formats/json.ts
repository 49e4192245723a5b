import { decodeText, type Format, NotJsonError, PIECE_BYTES } from './format.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const OPEN = new Set([0x5b, 0x7b])
const CLOSE = new Set([0x5d, 0x7d])

const isSpace = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09

/** Longest text in which the place of an error is searched for: halving it takes 16 parses, all in one slice. */
const LONGEST_SEARCHED = 2 * PIECE_BYTES

/** Where a text stops being JSON, where V8 says so; its end, where only the rest is missing. */
const placeOf = (text: string): number | undefined => {
  try {
    JSON.parse(text)
    return text.length
  } catch (error) {
    const { message } = error as Error
    const position = /at position (\d+)/.exec(message)?.[1]
    return position === undefined ? (message.includes('end of JSON') ? text.length : undefined) : Number(position)
  }
}

/** The longest beginning that could still become JSON, by halving: V8 gives no position for an unexpected token. */
const searchPlace = (text: string): number | undefined => {
  if (text.length > LONGEST_SEARCHED) return undefined
  let fits = 0
  let fails = text.length
  while (fails - fits > 1) {
    const middle = (fits + fails) >> 1
    if ((placeOf(text.slice(0, middle)) ?? -1) >= middle) fits = middle
    else fails = middle
  }
  return fits
}

/** @param before Characters that `text` has in front of the first one from the body, less those of the body in front of it. */
const notJson = (error: unknown, text: string, before: number): NotJsonError => {
  const message = error instanceof Error ? error.message : String(error)
  const place = placeOf(text) ?? searchPlace(text)
  const what = message.replace(/(, )?("|\.\.\.").*$/s, '').replace(/ (in|after) JSON at position.*$/s, '')
  return new NotJsonError(
    `the body is not JSON: ${what}${place === undefined ? '' : ` at character ${Math.max(0, place + before)}`}`,
  )
}

/** Behind the string that begins at `quote`. */
const endOfString = (body: Buffer, quote: number): number => {
  for (let from = quote + 1; ;) {
    const end = body.indexOf(QUOTE, from)
    if (end < 0) return body.length
    let backslashes = 0
    while (body[end - 1 - backslashes] === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return end + 1
    from = end + 1
  }
}

/**
 * A large array is cut at commas of its top level and parsed piece by piece: at once, 10,000 rows hold up everyone for 30 ms.
 * The cuts need no trust: a piece that is not a list of values is a syntax error either way.
 */
function* arrayPieces(body: Buffer, start: number, end: number): Iterable<unknown[]> {
  let pieceStart = start + 1
  let depth = 1
  for (let at = start + 1; at < end;) {
    const byte = body[at]!
    if (byte === QUOTE) {
      at = endOfString(body, at)
      continue
    }
    if (OPEN.has(byte)) depth++
    else if (CLOSE.has(byte) && --depth === 0) {
      // Whatever stands behind the end of the array belongs to the last piece, so that the parser finds it.
      yield parsePiece(body, pieceStart, end, false)
      return
    } else if (byte === COMMA && depth === 1 && at - pieceStart >= PIECE_BYTES) {
      yield parsePiece(body, pieceStart, at, true)
      pieceStart = at + 1
    }
    at++
  }
  yield parsePiece(body, pieceStart, end, false)
}

const parsePiece = (body: Buffer, start: number, end: number, cut: boolean): unknown[] => {
  const text = `[${decodeText(body, start, end)}${cut ? ']' : ''}`
  try {
    const rows = JSON.parse(text) as unknown[]
    // `[1,]` is no JSON, and an empty piece before a cut is just that.
    if (cut && rows.length === 0) throw new SyntaxError("Unexpected token ','")
    return rows
  } catch (error) {
    throw notJson(error, text, start - 1)
  }
}

/** One object, or an array of them. */
export const json: Format = {
  name: 'json',
  *rows(body) {
    let start = body[0] === 0xef && body[1] === 0xbb && body[2] === 0xbf ? 3 : 0
    while (isSpace(body[start])) start++
    let end = body.length
    while (end > start && isSpace(body[end - 1])) end--
    if (start === end)
      throw new NotJsonError('the body is empty; allowed is one JSON object, an array of them, or NDJSON')
    if (body[start] === 0x5b && end - start > PIECE_BYTES) {
      yield* arrayPieces(body, start, end)
      return
    }
    const text = decodeText(body, start, end)
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch (error) {
      throw notJson(error, text, start)
    }
    yield Array.isArray(value) ? value : [value]
  },
}
