import type { Figure, Report, Section, Table } from '../types.ts'
import { rest, shownTable } from './columns.ts'
import { csvName } from './csv.ts'
import { absolute, isolated, line, LONGEST, prose } from './disarm.ts'
import { change, FULL_MOMENT, isNumeric, kindName, number, period, services, time } from './format.ts'

/** Of a line: what a mail program shows without folding it. */
const WIDTH = 76

/** Columns as a terminal counts them: wide characters have two. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u

const widthOf = (text: string): number => {
  let width = 0
  for (const each of text) if (!/[\p{M}\u2066-\u2069]/u.test(each)) width += WIDE.test(each) ? 2 : 1
  return width
}

const padded = (text: string, width: number, isRight = false): string => {
  const space = ' '.repeat(Math.max(0, width - widthOf(text)))
  return isRight ? space + text : text + space
}

const folded = (text: string, indent = ''): string => {
  const lines: string[] = ['']
  for (const word of text.split(' ')) {
    const last = lines.at(-1) ?? ''
    if (last !== '' && widthOf(last) + 1 + widthOf(word) > WIDTH - indent.length) lines.push(word)
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`
  }
  return lines.map((each, index) => (index === 0 ? each : indent + each)).join('\n')
}

const heading = (title: string): string => `${title}\n${'-'.repeat(Math.min(WIDTH, widthOf(title)))}`

const figureLines = (figures: readonly Figure[]): string => {
  const rows = figures.map((figure) => {
    const changed = change(figure)
    return {
      label: isolated(prose(figure.label, LONGEST.label)),
      value: figure.value === null ? '–' : number(figure.value, figure.unit),
      note: changed ? `${changed.text}${changed.was === null ? '' : ` (was ${changed.was})`}` : '',
    }
  })
  const [labels, values] = [rows.map(({ label }) => label), rows.map(({ value }) => value)].map((texts) =>
    Math.max(0, ...texts.map(widthOf)),
  ) as [number, number]
  return rows
    .map(({ label, value, note }) => `  ${padded(label, labels)}  ${padded(value, values, true)}  ${note}`.trimEnd())
    .join('\n')
}

/** As many columns as fit; the rest is in the attachment. */
const tableLines = (table: Table, timezone: string, publicUrl: string): string => {
  const isWide = table.columns.length > 5
  const shown = shownTable(table, timezone, {
    width: WIDTH - 2,
    widthOf: (_, texts) => Math.max(...texts.map(widthOf)),
    longest: ({ kind }) => (kind === 'words' ? 30 : kind === 'hostile' ? (isWide ? 24 : 36) : isWide ? 22 : 28),
  })
  const lines = [shown.titles, ...shown.cells].map((row) => row.map(isolated))
  const widths = shown.columns.map((_, index) => Math.max(...lines.map((row) => widthOf(row[index] ?? ''))))
  const row = (texts: readonly string[]): string =>
    `  ${shown.columns.map((column, index) => padded(texts[index] ?? '', widths[index] ?? 0, isNumeric(column))).join('  ')}`.trimEnd()
  const left = rest(shown)
  return [
    isolated(prose(table.title, LONGEST.title)),
    ...(shown.cells.length === 0 ? ['  None.'] : lines.map(row)),
    ...(left === '' ? [] : [`  … ${left} in ${csvName(table.id)}`]),
    `  ${absolute(publicUrl, table.link)}`,
  ].join('\n')
}

/** One address a line, with the names of the figures behind it. */
const linkLines = (figures: readonly Figure[], publicUrl: string): string => {
  const byLink = Map.groupBy(figures, ({ link }) => absolute(publicUrl, link))
  return [...byLink]
    .map(
      ([link, of]) =>
        `  ${byLink.size === 1 ? '' : `${of.map(({ label }) => prose(label, LONGEST.label)).join(', ')}:\n  `}${link}`,
    )
    .join('\n')
}

const sectionText = (section: Section, timezone: string, publicUrl: string): string =>
  [
    heading(prose(section.title, LONGEST.title)),
    folded(isolated(prose(section.lead, LONGEST.sentence))),
    ...(section.advice === null ? [] : [folded(`What to do: ${isolated(prose(section.advice, LONGEST.sentence))}`)]),
    ...(section.figures.length === 0 ? [] : [figureLines(section.figures), linkLines(section.figures, publicUrl)]),
    ...section.charts.map(({ title, alt }) =>
      folded(prose(alt.startsWith(title) ? alt : `${title}: ${alt}`, LONGEST.sentence)),
    ),
    ...section.tables.map((table) => tableLines(table, timezone, publicUrl)),
  ].join('\n\n')

export interface Foot {
  publicUrl: string
  unsubscribeUrl?: string | undefined
  attributions: readonly string[]
}

/** Stands alone: whoever reads plain text misses nothing but the pictures, and those in words. */
export const reportText = (report: Report, { publicUrl, unsubscribeUrl, attributions }: Foot): string => {
  const { scope } = report
  const { timezone } = scope
  return `${[
    `Vedette ${kindName(scope.kind).toLowerCase()} report, ${period(scope.period, scope.kind, timezone)}`,
    folded(isolated(prose(report.headline, LONGEST.headline))),
    folded(`${services(scope)}. Compared with ${period(scope.previous, scope.kind, timezone)}.`),
    ...report.sections.map((section) => sectionText(section, timezone, publicUrl)),
    [
      // Not the two dashes of a signature, which mail programs fold away.
      '-'.repeat(WIDTH),
      folded(`Made by Vedette on ${time(report.generatedAt, timezone, FULL_MOMENT)}. Times are those of ${timezone}.`),
      ...attributions.map((each) => folded(line(each, LONGEST.sentence))),
      publicUrl,
      ...(unsubscribeUrl ? [`Unsubscribe: ${unsubscribeUrl}`] : []),
    ].join('\n'),
  ].join('\n\n')}\n`
}
