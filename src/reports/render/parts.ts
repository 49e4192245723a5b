import type { Column, Figure, Table } from '../types.ts'
import { htmlWidthOf, longestWord, rest, shownTable } from './columns.ts'
import { csvName } from './csv.ts'
import { absolute, escape, LONGEST, prose } from './disarm.ts'
import { change, isNumeric, NOTHING, number } from './format.ts'
import { LIGHT } from './theme.ts'

/** Which numbers are links: all, those of figures, or of figures with the same link the first. Each table has one below it in any case. */
export type Links = 'all' | 'figures' | 'first'

export interface Look {
  publicUrl: string
  timezone: string
  isMail: boolean
  links: Links
}

export const LINK = 'text-decoration:none'

const PER_ROW = 4
const TILE = 136
const BOX = `display:inline-block;vertical-align:top;width:${TILE - 6}px;padding:0 6px 12px 0`

const tile = (figure: Figure, link: string | null): string => {
  const changed = change(figure)
  const value = figure.value === null ? NOTHING : number(figure.value, figure.unit)
  // Long numbers stay on one line.
  const size = value.length > 12 ? 15 : value.length > 9 ? 18 : 22
  const label = escape(prose(figure.label, LONGEST.label))
  const note = changed
    ? `<br><b class="${changed.judgement}">${escape(changed.text)}</b>${changed.was === null ? '' : ` <span class="soft">was&nbsp;${escape(changed.was)}</span>`}`
    : ''
  // The number first: whatever the length of the labels, numbers beside each other stand on one line.
  const style = `style="color:${LIGHT.ink};font-size:${size}px;${LINK}"><b>${escape(value)}</b>`
  const shown =
    link === null ? `<span class="ink num" ${style}</span>` : `<a class="ink num" href="${escape(link)}" ${style}</a>`
  return `${shown}<br>${label}${note}`
}

/**
 * Four beside each other, two on a phone. Boxes that flow need no media query; Outlook, whose boxes do not flow, gets a table
 * in comments that only it reads.
 */
export const tiles = (figures: readonly Figure[], { publicUrl, links }: Look): string => {
  const linked = new Set<string>()
  const boxes = figures.map((figure, index) => {
    const isFirst = index % PER_ROW === 0
    const link = absolute(publicUrl, figure.link)
    const isRepeated = links === 'first' && linked.has(link)
    linked.add(link)
    const cellStart = `<td width="${TILE}" valign="top">`
    const before = isFirst ? `${index === 0 ? '' : '</tr>'}<tr>${cellStart}` : cellStart
    return `<!--[if mso]>${before}<![endif]--><div class="tile" style="${BOX}">${tile(figure, isRepeated ? null : link)}</div><!--[if mso]></td><![endif]-->`
  })
  return `<div style="font-size:12px;line-height:17px"><!--[if mso]><table role="presentation" cellpadding="0" cellspacing="0" border="0" style="font-size:12px"><![endif]-->${boxes.join('')}<!--[if mso]></tr></table><![endif]--></div>`
}

const isMono = ({ kind }: Column): boolean => kind === 'hostile' || kind === 'address'

/** Characters of a table's text beside each other in the width of a mail. */
const WIDTH = 80

/** Identifiers and paths go on after their joints. */
const breakable = (text: string): string => escape(text).replace(/[_/]/g, '$&<wbr>')

const headCell = (column: Column, title: string): string =>
  `<th align="${isNumeric(column) ? 'right' : 'left'}"${longestWord(title) > 16 ? ' class="long"' : ''}>${escape(title)}</th>`

// What only makes it prettier is a class: a cell is written hundreds of times, and Gmail cuts a mail at 102 kB.
const bodyCell = (column: Column, title: string, shown: string, isFirst: boolean, link: string | null): string => {
  const isNumber = isNumeric(column)
  // `2 confirmed` stays on one line.
  const text = breakable(column.kind === 'enum' ? shown.replaceAll(/(?<=\d) /g, '\u00a0') : shown)
  const names = [
    ...(isFirst ? ['first'] : []),
    ...(isNumber ? ['n'] : column.kind === 'time' ? ['t'] : []),
    ...(isMono(column) ? ['mono'] : []),
    ...(!isNumber && longestWord(shown) > 16 ? ['long'] : []),
    ...(shown === NOTHING ? ['none'] : []),
  ]
  const of = isFirst ? '' : `<span class="of" style="display:none">${escape(title)}&nbsp;</span>`
  const inner = isNumber
    ? link !== null && shown !== NOTHING
      ? `<a class="ink" href="${link}" style="${LINK};color:${LIGHT.ink}">${text}</a>`
      : text
    : `<bdi>${text}</bdi>`
  return `<td${names.length > 0 ? ` class="${names.join(' ')}"` : ''}>${of}${inner}</td>`
}

/** Title, rows of a table and what stands below it, as HTML. Rows are empty where there are none. */
export const tableParts = (
  table: Table,
  { publicUrl, timezone, isMail, links }: Look,
): { title: string; rows: string; below: string } => {
  const link = escape(absolute(publicUrl, table.link))
  const shown = shownTable(table, timezone, { width: WIDTH, widthOf: htmlWidthOf })
  const { columns, titles, cells } = shown
  const rows = cells.map((row) => {
    const of = columns.map((column, index) =>
      bodyCell(column, titles[index] ?? '', row[index] ?? '', index === 0, links === 'all' ? link : null),
    )
    return `<tr class="row">${of.join('')}</tr>`
  })
  const left = rest(shown)
  const below = [
    cells.length === 0 ? 'None in this time.' : '',
    left === '' ? '' : isMail ? `${left} in the attachment ${csvName(table.id)}.` : `${left}.`,
  ]
  return {
    title: escape(prose(table.title, LONGEST.title)),
    rows:
      rows.length === 0
        ? ''
        : `<tr class="head">${columns.map((column, index) => headCell(column, titles[index] ?? '')).join('')}</tr>${rows.join('')}`,
    below: `${below.map((each) => (each === '' ? '' : `${escape(each)} `)).join('')}<a href="${link}" class="accent" style="${LINK};color:${LIGHT.accent}">Look&nbsp;into&nbsp;it&nbsp;→</a>`,
  }
}
