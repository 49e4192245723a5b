import { type Document, fieldsOf, type Operation } from './selection.ts'
import type { FieldNode } from 'graphql'

/** A list of flat rows that an answer holds. */
export interface Flat {
  columns: string[]
  rows: unknown[][]
}

type Json = Record<string, unknown>

const keyOf = (field: FieldNode): string => field.alias?.value ?? field.name.value

interface Path {
  name: string
  keys: string[]
}

/** The leaves below a selection, in its order: what is in an object is named with dots. */
const leavesOf = (fields: readonly FieldNode[], document: Document, before: readonly string[] = []): Path[] => {
  const leaves = fields.flatMap((field): Path[] => {
    const keys = [...before, keyOf(field)]
    return field.selectionSet
      ? leavesOf(fieldsOf(field.selectionSet, document), document, keys)
      : [{ name: keys.join('.'), keys }]
  })
  return [...new Map(leaves.map((leaf) => [leaf.name, leaf])).values()]
}

const at = (value: unknown, keys: readonly string[]): unknown =>
  keys.reduce<unknown>((inner, key) => (inner === null || inner === undefined ? inner : (inner as Json)[key]), value)

const flatten = (items: readonly unknown[], leaves: readonly Path[]): Flat => ({
  columns: leaves.map(({ name }) => name),
  rows: items.map((item) => leaves.map(({ keys }) => at(item, keys) ?? null)),
})

/** Lists that are what an answer is about come before others beside them. */
const RANK = ['rows', 'nodes', 'edges']
const rank = (field: FieldNode): number => {
  const place = RANK.indexOf(field.name.value)
  return place < 0 ? RANK.length : place
}

const findList = (fields: readonly FieldNode[], data: unknown, document: Document): Flat | undefined => {
  const byRank = fields.filter((field) => field.selectionSet).toSorted((a, b) => rank(a) - rank(b))
  for (const field of byRank) {
    const value = at(data, [keyOf(field)])
    const below = fieldsOf(field.selectionSet, document)
    if (Array.isArray(value)) return flatten(value, leavesOf(below, document))
    const inner = value ? findList(below, value, document) : undefined
    if (inner) return inner
  }
  return undefined
}

/**
 * The first list of objects in an answer, or where there is none the whole answer as one row. Columns come from the query,
 * so an empty list has its header all the same.
 */
export const flatOf = (data: unknown, { fields, document }: Operation): Flat =>
  findList(fields, data, document) ?? flatten([data], leavesOf(fields, document))

/**
 * A text that a spreadsheet would take for a formula gets an apostrophe in front, which spreadsheets take away again. Signed
 * numbers and a lone sign are none. JSON and NDJSON hold the text as it is.
 */
const harmless = (text: string): string =>
  /^[=@\t\r]/.test(text) || (/^[+-]./s.test(text) && !/^[+-][\d .,]+$/.test(text)) ? `'${text}` : text

const cell = (value: unknown): string => {
  if (value === null || value === undefined) return ''
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  const text = typeof value === 'string' ? harmless(value) : JSON.stringify(value)
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** RFC 4180, with a header, and without a line end after the last row: Grafana's Infinity then shows nothing. */
export const toCsv = ({ columns, rows }: Flat): string =>
  [columns, ...rows].map((row) => row.map(cell).join(',')).join('\r\n')

/** One JSON object a line. */
export const toNdjson = ({ columns, rows }: Flat): string =>
  rows
    .map((row) => `${JSON.stringify(Object.fromEntries(columns.map((name, index) => [name, row[index]])))}\n`)
    .join('')
