import { Fault } from '../fault.ts'
import { type Format, linePieces, NotJsonError } from './format.ts'

const parseLine = (line: string): unknown => {
  try {
    return JSON.parse(line)
  } catch (error) {
    return new Fault('', `the line is not JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** One object a line; blank lines do not count. A broken line is a fault of its own: the next one begins anew. */
export const ndjson: Format = {
  name: 'ndjson',
  *rows(body) {
    let first: Fault | undefined
    let whole = 0
    for (const lines of linePieces(body)) {
      const rows = lines.flatMap((line) => (/\S/.test(line) ? [parseLine(line)] : []))
      for (const row of rows) {
        if (!(row instanceof Fault)) whole++
        else if (!first) first = row
      }
      yield rows
    }
    if (whole > 0) return
    throw new NotJsonError(
      first
        ? `no line of the body is JSON; in the first, ${first.message}`
        : 'the body is empty; allowed is one JSON object a line',
    )
  },
}
