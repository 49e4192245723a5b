/** What a command answers goes to stdout; everything about it goes to stderr, so that answers can be piped on. */
export const out = (line: string): void => void process.stdout.write(`${line}\n`)

export const note = (line: string): void => void process.stderr.write(`${line}\n`)

/** For `--json`. */
export const json = (value: unknown): void => out(JSON.stringify(value, undefined, 2))

/** Columns under their names, each as wide as its widest cell. Numbers stand right. */
export const table = (rows: readonly Record<string, string | number>[]): void => {
  const names = Object.keys(rows[0] ?? {})
  const columns = names.map((name) => {
    const cells = rows.map((row) => row[name] ?? '')
    const right = cells.length > 0 && cells.every((cell) => typeof cell === 'number')
    const texts = [name.toUpperCase(), ...cells.map((cell) => (right ? cell.toLocaleString('en-US') : String(cell)))]
    const width = Math.max(...texts.map((text) => text.length))
    return texts.map((text) => (right ? text.padStart(width) : text.padEnd(width)))
  })
  for (let row = 0; row <= rows.length; row++)
    out(
      columns
        .map((column) => column[row])
        .join('  ')
        .trimEnd(),
    )
}

/** `2026-11-23 17:30 UTC` */
export const time = (date: Date): string => `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`

/** `2026-11-23` */
export const day = (date: Date): string => date.toISOString().slice(0, 10)
