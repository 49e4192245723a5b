import type { Cell, Table } from '../types.ts'
import { line, LONGEST } from './disarm.ts'

const NUMBER = /^[+-]?\d+(?:[.,]\d+)*(?:e[+-]?\d+)?$/i

/**
 * A text that a spreadsheet would take for a formula gets an apostrophe in front. So does a formula after a semicolon: where that
 * is the list separator, the spreadsheet cuts the line there, quotes or not.
 */
const harmless = (text: string): string =>
  NUMBER.test(text) ? text : text.replace(/^(?=\s*[=+\-@|＝＋－＠\t\r\n])/u, "'").replace(/;(?=[=+\-@])/g, ";'")

const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`

// What began with a line end counts as a formula though it is shown as `\u000a`: whoever reads it may turn it back.
const textCell = (text: string): string => quoted(line(harmless(text), LONGEST.csv))

const csvCell = (value: Cell | undefined): string => {
  if (value === null || value === undefined) return ''
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : ''
  if (value instanceof Date) return value.toISOString()
  return textCell(typeof value === 'string' ? value : value.join(', '))
}

/**
 * All rows of a table, by RFC 4180, with a mark in front by which spreadsheets know that it is UTF-8. Numbers are bare, times are
 * RFC 3339 in UTC, shares are as they were measured.
 */
export const tableCsv = ({ columns, rows }: Table): string =>
  `\ufeff${[
    columns.map(({ title }) => textCell(title)),
    ...rows.map((row) => columns.map(({ key }) => csvCell(row[key]))),
  ]
    .map((cells) => `${cells.join(',')}\r\n`)
    .join('')}`

/** A name that no mail program and no file system minds. */
export const csvName = (id: string): string =>
  `${
    id
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-|-$/g, '')
      .slice(0, 60) || 'table'
  }.csv`
