import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

import { param, Sql } from '../../clickhouse/index.ts'
import { REPORT_KINDS, type ReportKind } from '../types.ts'

/** The files of this version. */
export const REPORTS = fileURLToPath(new URL('../../../clickhouse/reports/', import.meta.url))

/** One file: what a report says of one thing. */
export interface SectionFile {
  /** The file's name without `.sql`. */
  id: string
  title: string
  /** What it is about, in a sentence. */
  description: string
  window: string
  comparedWith: string
  kinds: ReadonlySet<ReportKind>
  /** Sections stand in the order of these. */
  order: number
  /** Its SELECTs by name, with the relations they read in front. */
  statements: ReadonlyMap<string, string>
}

/** What statements of all files may read: SELECTs by the names that they are known by. */
export type Relations = ReadonlyMap<string, string>

const STATEMENT = /^-- statement: (\w+)$/m

/** Relations that the text reads, those that they read themselves first. */
const readBy = (text: string, relations: Relations): string[] =>
  [...relations].flatMap(([name, select]) =>
    new RegExp(`\\bFROM ${name}\\b`).test(text) ? [...readBy(select, relations), name] : [],
  )

const withRelations = (select: string, relations: Relations): string => {
  const names = [...new Set(readBy(select, relations))]
  if (names.length === 0) return select
  return `WITH ${names.map((name) => `${name} AS (\n${relations.get(name)!}\n)`).join(', ')}\n${select}`
}

const withoutComments = (text: string): string => text.replaceAll(/^\s*--.*\n?/gm, '').trim()

/** @throws {TypeError} a header that does not do, with what it needs */
export const parseSection = (id: string, text: string, relations: Relations): SectionFile => {
  const [head = '', ...parts] = text.split(STATEMENT)
  const header = (key: string): string => {
    const value = new RegExp(`^-- ${key}: (.+)$`, 'm').exec(head)?.[1]
    if (value === undefined)
      throw new TypeError(`report ${id}.sql has no "${key}"; give it "-- ${key}: …" in its header`)
    return value
  }
  const kinds = header('kinds').split(', ')
  const strange = kinds.find((kind) => !(REPORT_KINDS as readonly string[]).includes(kind))
  if (strange !== undefined)
    throw new TypeError(
      `report ${id}.sql is of the kind ${JSON.stringify(strange)}; allowed are ${REPORT_KINDS.join(', ')}`,
    )
  const order = Number(header('order'))
  if (!Number.isInteger(order)) throw new TypeError(`report ${id}.sql has an order that is no whole number`)
  const statements = new Map(
    parts.flatMap((name, index) =>
      index % 2 === 0 ? [[name, withRelations(withoutComments(parts[index + 1]!), relations)] as const] : [],
    ),
  )
  if (statements.size === 0)
    throw new TypeError(`report ${id}.sql has no statement; begin one with "-- statement: NAME"`)
  return {
    id,
    title: header('title'),
    description: /^((?:-- .*\n)+)/.exec(head)?.[1]?.replaceAll(/^-- /gm, '').replaceAll('\n', ' ').trim() ?? '',
    window: header('window'),
    comparedWith: header('compared with'),
    kinds: new Set(kinds as ReportKind[]),
    order,
    statements,
  }
}

const filesOf = async (folder: string): Promise<[name: string, text: string][]> => {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort()
  return Promise.all(
    names.map(
      async (name) => [name.slice(0, -'.sql'.length), await readFile(`${folder}/${name}`, 'utf8')] as [string, string],
    ),
  )
}

/** In their order. @throws {TypeError} a file whose header does not do */
export const readSections = async (folder = REPORTS): Promise<SectionFile[]> => {
  const relations = new Map((await filesOf(`${folder}/relations`)).map(([name, text]) => [name, withoutComments(text)]))
  const sections = (await filesOf(folder)).map(([id, text]) => parseSection(id, text, relations))
  return sections.toSorted((a, b) => a.order - b.order || (a.id < b.id ? -1 : 1))
}

const PLACEHOLDER = /\{(\w+):([^{}]+)\}/

/** Text of our own files as a fragment: each `{name:Type}` takes the value of that name, sent once however often it is named. */
export const bind = (text: string, values: Readonly<Record<string, unknown>>): Sql => {
  const parts = text.split(PLACEHOLDER)
  const texts = parts.filter((_, index) => index % 3 === 0)
  const parameters = parts.flatMap((name, index) =>
    index % 3 === 1 ? [{ ...param(parts[index + 1]!, values[name]), name }] : [],
  )
  return new Sql(texts, parameters)
}
