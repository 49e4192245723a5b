export interface Column<Row> {
  title: string
  value: (row: Row) => string
  /** Figures stand at the right, words at the left. */
  right?: boolean
}

const shorten = (text: string, width: number): string => (text.length > width ? `${text.slice(0, width - 1)}…` : text)

/** Lines of a table, aligned, without rules: the title, the head, one line a row. */
export const table = <Row>(
  title: string,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  widest = 46,
): string => {
  const cells = [
    columns.map(({ title }) => title),
    ...rows.map((row) => columns.map(({ value }) => shorten(value(row), widest))),
  ]
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => line[i]!.length)))
  const lines = cells.map((line) =>
    line
      .map((cell, i) => (columns[i]!.right ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd(),
  )
  return [title, ...lines.map((line) => `  ${line}`)].join('\n')
}

const whole = new Intl.NumberFormat('en')
export const count = (value: number): string => whole.format(value)

/** 0.0123 → 1.2 %. Null: nothing to divide by. */
export const percent = (ratio: number | null): string => (ratio === null ? '–' : `${(ratio * 100).toFixed(1)} %`)

export const milliseconds = (value: number | null): string =>
  value === null ? '–' : `${value.toFixed(value < 10 ? 1 : 0)} ms`
