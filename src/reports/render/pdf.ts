import type { Content, Definition } from 'pdfmake'

import type { Report, Section } from '../types.ts'
import { chartSvg, FONT_FAMILY } from './chart.ts'
import { line, LONGEST, prose } from './disarm.ts'
import { FULL_MOMENT, kindName, period, services, time } from './format.ts'
import { type Sheet, tableOf, tiles, whatToDo } from './pdf-parts.ts'
import { loadPress } from './pdf-text.ts'
import { LIGHT } from './theme.ts'

// A4, in points.
const PAGE = { width: 595.28, side: 48, top: 62, bottom: 58 } as const
const WIDTH = PAGE.width - 2 * PAGE.side
/** What a chart is laid out in: its letters get the size of those beside it. */
const CHART_WIDTH = 660

const rule = (margin: readonly [number, number, number, number]): Content => ({
  canvas: [{ type: 'line', x1: 0, y1: 0, x2: WIDTH, y2: 0, lineWidth: 0.6, lineColor: LIGHT.line }],
  margin,
})

const chartsOf = async ({ charts }: Section, { runs, timezone }: Sheet): Promise<Content[]> => {
  const shown: Content[] = []
  for (const chart of charts) {
    shown.push({
      unbreakable: true,
      stack: [
        { text: runs(prose(chart.title, LONGEST.title), { bold: true, fontSize: 9.5 }), margin: [0, 4, 0, 4] },
        {
          svg: await chartSvg(chart, timezone, CHART_WIDTH),
          width: WIDTH,
          font: FONT_FAMILY,
          options: { imageCallback: () => '' },
          margin: [0, 0, 0, 10],
        },
      ],
    })
  }
  return shown
}

const sectionOf = async (section: Section, sheet: Sheet): Promise<Content[]> => {
  const { runs } = sheet
  const title = prose(section.title, LONGEST.title)
  const figures = tiles(section.figures, sheet)
  return [
    {
      unbreakable: true,
      stack: [
        rule([0, 8, 0, 12]),
        {
          text: runs(title, { bold: true, color: LIGHT.accent }),
          outline: true,
          outlineText: title,
          margin: [0, 0, 0, 3],
        },
        { text: runs(prose(section.lead, LONGEST.sentence), { fontSize: 11.5 }), margin: [0, 0, 0, 10] },
        ...(section.advice === null ? [] : [whatToDo(section.advice, sheet)]),
        ...figures.slice(0, 1),
      ],
    },
    ...figures.slice(1),
    ...(await chartsOf(section, sheet)),
    ...section.tables.map((table) => tableOf(table, sheet)),
  ]
}

/**
 * A report to print or to file: A4, with the page's parts in the page's order. The same report gives the same bytes: its date is that
 * of the report.
 */
export const reportPdf = async (
  report: Report,
  { publicUrl, attributions, title }: { publicUrl: string; attributions: readonly string[]; title: string },
): Promise<Buffer> => {
  const { scope, headline, generatedAt } = report
  const press = await loadPress()
  const { runs } = press
  const sheet: Sheet = { ...press, publicUrl, timezone: scope.timezone, width: WIDTH }
  const small = { fontSize: 8, color: LIGHT.soft }
  const when = period(scope.period, scope.kind, scope.timezone)

  const sections: Content[] = []
  for (const section of report.sections) sections.push(...(await sectionOf(section, sheet)))
  const definition: Definition = {
    pageSize: 'A4',
    pageMargins: [PAGE.side, PAGE.top, PAGE.side, PAGE.bottom],
    version: '1.7',
    language: 'en',
    displayTitle: true,
    info: { title, author: 'Vedette', creator: 'Vedette', creationDate: generatedAt },
    defaultStyle: { font: FONT_FAMILY, fontSize: 10, lineHeight: 1.12, color: LIGHT.ink },
    header: () => ({
      margin: [PAGE.side, 28, PAGE.side, 0],
      columns: [
        {
          ...small,
          text: [...runs('Vedette', { bold: true, color: LIGHT.accent }), ...runs(`   ${kindName(scope.kind)} report`)],
        },
        { ...small, text: runs(when), alignment: 'right' },
      ],
    }),
    footer: (page, pages) => ({
      margin: [PAGE.side, 22, PAGE.side, 0],
      columns: [
        {
          ...small,
          text: runs(
            `Made on ${time(generatedAt, scope.timezone, FULL_MOMENT)}. Times are those of ${prose(scope.timezone, LONGEST.label)}.`,
          ),
        },
        { ...small, text: runs(`Page ${page} of ${pages}`), alignment: 'right' },
      ],
    }),
    content: [
      { text: runs(prose(headline, LONGEST.headline), { bold: true, fontSize: 21 }), margin: [0, 6, 0, 6] },
      {
        text: runs(`${services(scope)}, compared with ${period(scope.previous, scope.kind, scope.timezone)}`),
        color: LIGHT.soft,
        margin: [0, 0, 0, 8],
      },
      ...sections,
      rule([0, 8, 0, 10]),
      {
        ...small,
        text: [
          ...runs('Made by '),
          ...runs('Vedette', { link: publicUrl, color: LIGHT.accent }),
          ...runs(['.', ...attributions.map((each) => line(each, LONGEST.sentence))].join(' ')),
        ],
      },
    ],
  }
  return press.pdfmake.createPdf(definition).getBuffer()
}
