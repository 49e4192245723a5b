import type { Content, Layout, Style, Table as PdfTable, Text } from 'pdfmake'

import type { Column, Figure, Table } from '../types.ts'
import { rest, type ShownTable, shownTable } from './columns.ts'
import { absolute, LONGEST, prose } from './disarm.ts'
import { change, isNumeric, NOTHING, number } from './format.ts'
import type { Press } from './pdf-text.ts'
import { LIGHT } from './theme.ts'

export interface Sheet extends Press {
  publicUrl: string
  timezone: string
  /** Points between the margins. */
  width: number
}

const BARE: Layout = {
  hLineWidth: () => 0,
  vLineWidth: () => 0,
  paddingLeft: () => 0,
  paddingRight: () => 0,
  paddingTop: () => 0,
  paddingBottom: () => 0,
}

const PER_ROW = 4
const GAP = 12

const tile = (figure: Figure, { runs, publicUrl }: Sheet): Content => {
  const changed = change(figure)
  const value = figure.value === null ? NOTHING : number(figure.value, figure.unit)
  // Long numbers stay on one line.
  const fontSize = value.length > 12 ? 12 : value.length > 9 ? 14 : 17
  const link = absolute(publicUrl, figure.link)
  return {
    margin: [0, 0, GAP, 10],
    stack: [
      // As high as the others beside it, whatever the size of its letters.
      { text: runs(value, { link, fontSize, bold: true }), lineHeight: 20 / (fontSize * 1.164) },
      { text: runs(prose(figure.label, LONGEST.label), { fontSize: 8.5 }) },
      ...(changed
        ? [
            {
              fontSize: 8.5,
              text: [
                ...runs(changed.text, {
                  bold: true,
                  color: changed.judgement === 'neutral' ? LIGHT.soft : LIGHT[changed.judgement],
                }),
                ...runs(changed.was === null ? '' : `  was ${changed.was}`, { color: LIGHT.soft }),
              ],
            },
          ]
        : []),
    ],
  }
}

/** Rows of four beside each other, the number first. */
export const tiles = (figures: readonly Figure[], sheet: Sheet): Content[] => {
  const rows: Content[] = []
  const widths = Array.from({ length: PER_ROW }, () => sheet.width / PER_ROW)
  for (let first = 0; first < figures.length; first += PER_ROW) {
    const row = figures.slice(first, first + PER_ROW).map((figure) => tile(figure, sheet))
    while (row.length < PER_ROW) row.push({ text: [] })
    rows.push({ table: { widths, body: [row], dontBreakRows: true }, layout: BARE })
  }
  return rows
}

export const whatToDo = (advice: string, { runs, width }: Sheet): PdfTable => ({
  margin: [0, 2, 0, 12],
  table: {
    widths: [width - 23],
    dontBreakRows: true,
    body: [
      [
        {
          stack: [
            { text: runs('What to do', { bold: true, color: LIGHT.accent }), margin: [0, 0, 0, 2] },
            { text: runs(prose(advice, LONGEST.sentence)) },
          ],
        },
      ],
    ],
  },
  layout: {
    ...BARE,
    fillColor: () => LIGHT.tint,
    vLineWidth: (index) => (index === 0 ? 3 : 0),
    vLineColor: () => LIGHT.accent,
    paddingLeft: () => 10,
    paddingRight: () => 10,
    paddingTop: () => 7,
    paddingBottom: () => 8,
  },
})

const SIZE = 8.5
/** Wider texts of a cell stand below each other. */
const WIDEST = 280

/** A sentence is read in a few lines. */
const SENTENCE = 150
const MOST_LINES = 4

/** Of columns that can get narrower at most so far: words may stand below each other, numbers and times may not. */
const narrowest = (column: Column, texts: readonly string[], { widthOf }: Press): number => {
  const isWhole = isNumeric(column) || column.kind === 'time'
  return Math.max(
    ...texts.map((text, index) => {
      if (column.kind === 'words' && index > 0)
        return Math.min(SENTENCE, Math.max(80, widthOf(text, SIZE, false) / MOST_LINES))
      const parts = isWhole && index > 0 ? [text] : text.split(/(?<=[ /-])/)
      return Math.min(Math.max(...parts.map((part) => widthOf(part.trim(), SIZE, index === 0))), isWhole ? WIDEST : 80)
    }),
  )
}

/** Each column gets what it cannot do without, then of the rest by what it could use. */
const widthsOf = ({ columns, titles, cells }: ShownTable, sheet: Sheet): number[] => {
  const wishes = columns.map((column, place) => {
    const texts = [titles[place] ?? '', ...cells.map((row) => row[place] ?? '')]
    const least = narrowest(column, texts, sheet)
    const most = Math.max(...texts.map((text, index) => sheet.widthOf(text, SIZE, index === 0)))
    return { least, most: Math.max(least, Math.min(most + 1, WIDEST)) }
  })
  const room = sheet.width - GAP * (columns.length - 1)
  const [least, most] = (['least', 'most'] as const).map((of) => wishes.reduce((sum, wish) => sum + wish[of], 0)) as [
    number,
    number,
  ]
  if (most <= room) return wishes.map((wish) => wish.most * (room / most))
  const share = Math.min(1, Math.max(0, (room - least) / (most - least)))
  return wishes.map((wish) => Math.min(room, wish.least + (wish.most - wish.least) * share))
}

const alignment = (column: Column): Style => (isNumeric(column) ? { alignment: 'right' } : {})

/** Title, rows and a way to look into them; the head is repeated on each page. Columns that do not fit are left out. */
export const tableOf = (table: Table, sheet: Sheet): Content => {
  const { runs, publicUrl, timezone, width } = sheet
  const link = absolute(publicUrl, table.link)
  const shown = shownTable(table, timezone, {
    width: width + GAP - 2,
    widthOf: (column, texts) => narrowest(column, texts, sheet) + GAP,
  })
  const { columns, titles, cells } = shown
  const title: Text = {
    text: runs(prose(table.title, LONGEST.title), { bold: true, fontSize: 9.5 }),
    margin: [0, 4, 0, 2],
  }
  const left = rest(shown)
  const note = cells.length === 0 ? 'None in this time. ' : left === '' ? '' : `${left}. `
  const below: Content = {
    fontSize: SIZE,
    margin: [0, 5, 0, 12],
    text: [...runs(note, { color: LIGHT.soft }), ...runs('Look into it\u00a0→', { link, color: LIGHT.accent })],
  }
  if (cells.length === 0) return { stack: [title, below] }

  const head = columns.map((column, place) => ({
    text: runs(titles[place] ?? ''),
    bold: true,
    color: LIGHT.soft,
    ...alignment(column),
  }))
  const rows = cells.map((row) =>
    columns.map((column, place) => {
      const text = row[place] ?? ''
      return { text: runs(text, isNumeric(column) && text !== NOTHING ? { link } : {}), ...alignment(column) }
    }),
  )
  return {
    stack: [
      {
        fontSize: SIZE,
        table: {
          widths: widthsOf(shown, sheet),
          headerRows: 2,
          keepWithHeaderRows: 1,
          dontBreakRows: true,
          body: [[{ ...title, colSpan: columns.length }, ...head.slice(1).map(() => ({ text: [] }))], head, ...rows],
        },
        layout: {
          ...BARE,
          hLineWidth: (index) => (index < 2 ? 0 : 0.6),
          hLineColor: () => LIGHT.line,
          paddingRight: (index) => (index === columns.length - 1 ? 0 : GAP),
          paddingTop: () => 3.2,
          paddingBottom: () => 3.2,
        },
      },
      below,
    ],
  }
}
