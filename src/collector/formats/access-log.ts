import { combinedRow } from './combined.ts'
import { type Format, linePieces } from './format.ts'
import { nginxRow } from './nginx-json.ts'

/** nginx and Apache, common or combined, or nginx JSON: told apart line by line. */
export const accessLog: Format = {
  name: 'access-log',
  *rows(body) {
    for (const lines of linePieces(body)) {
      yield lines.flatMap((line) => {
        const bare = line.endsWith('\r') ? line.slice(0, -1) : line
        if (!/\S/.test(bare)) return []
        return [bare.startsWith('{') ? nginxRow(bare) : combinedRow(bare)]
      })
    }
  },
}
