import type { Column, Table } from '../types.ts'
import { LONGEST, prose } from './disarm.ts'
import { cell, isNumeric, NOTHING } from './format.ts'

/** A table made ready to be shown: the first rows as text, without columns that say nothing in all of them. */
export interface ShownTable {
  columns: readonly Column[]
  titles: readonly string[]
  cells: readonly (readonly string[])[]
  moreRows: number
  /** Of those that say something. */
  moreColumns: number
}

/** Columns of the given widths that fit, from the left; the first in any case. */
const fitting = (widths: readonly number[], width: number): number => {
  let used = 0
  const first = widths.findIndex((each) => (used += each + 2) > width + 2)
  return first < 0 ? widths.length : Math.max(1, first)
}

export const shownTable = (
  table: Table,
  timezone: string,
  {
    width,
    widthOf,
    longest,
  }: {
    /** Characters that fit beside each other. */
    width: number
    /** Least width of a column in which such texts can stand. */
    widthOf: (column: Column, texts: readonly string[]) => number
    /** Characters of a cell, by its column. */
    longest?: (column: Column) => number
  },
): ShownTable => {
  const rows = table.rows.slice(0, table.shown)
  const columns = table.columns
    .map((column) => ({
      column,
      title: prose(column.title, LONGEST.label),
      texts: rows.map((row) => cell(row[column.key], column, timezone, longest?.(column))),
    }))
    .filter(({ texts }, index) => index === 0 || texts.some((text) => text !== NOTHING))
  const count = fitting(
    columns.map(({ column, title, texts }) => widthOf(column, [title, ...texts])),
    width,
  )
  const shown = columns.slice(0, count)
  return {
    columns: shown.map(({ column }) => column),
    titles: shown.map(({ title }) => title),
    cells: rows.map((_, row) => shown.map(({ texts }) => texts[row] ?? '')),
    moreRows: table.rows.length - rows.length,
    moreColumns: columns.length - count,
  }
}

/** `17 more rows and 2 more columns`; empty where all is shown. */
export const rest = ({ moreRows, moreColumns }: ShownTable): string =>
  [
    ...(moreRows > 0 ? [`${moreRows} more ${moreRows === 1 ? 'row' : 'rows'}`] : []),
    ...(moreColumns > 0 ? [`${moreColumns} more ${moreColumns === 1 ? 'column' : 'columns'}`] : []),
  ].join(' and ')

export const longestWord = (text: string): number => Math.max(...text.split(/[\s_/-]/).map(({ length }) => length))

/** A cell of more lines makes a table that nobody reads down. */
const MOST_LINES = 4
const WIDEST = 24

/** In HTML: words may stand below each other, some lines of them, numbers and times may not; long texts can be broken. */
export const htmlWidthOf = (column: Column, [title = '', ...texts]: readonly string[]): number => {
  const whole = isNumeric(column) || column.kind === 'time'
  const inLines = (text: string): number =>
    Math.max(Math.min(longestWord(text), 16), Math.min(WIDEST, Math.ceil(text.length / MOST_LINES)))
  const widest = Math.max(0, ...texts.map((text) => (whole ? text.length : inLines(text))))
  return Math.max(Math.min(longestWord(title), 16), widest)
}
