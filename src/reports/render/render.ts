import type { Chart, Rendered, Renderer, Report, Section } from '../types.ts'
import { chartPng } from './chart.ts'
import { csvName, tableCsv } from './csv.ts'
import { line, LONGEST } from './disarm.ts'
import { kindName } from './format.ts'
import { documentOf, type Drawn, toHtml } from './html.ts'
import { reportPdf } from './pdf.ts'
import { reportText } from './text.ts'

export interface RendererDependencies {
  /** Lines that licences ask for, such as those of the location data; they go into the foot. */
  attributions?: () => readonly string[]
}

/** Bytes of HTML above which Gmail hides the rest. */
const GMAIL_CUTS = 102_000

/** What is given up, one after the other, until a mail is no larger: links of numbers beside each other, then rows, which are attached. */
const SIZES = [
  { links: 'all', rows: Infinity },
  { links: 'figures', rows: Infinity },
  { links: 'first', rows: Infinity },
  { links: 'first', rows: 8 },
  { links: 'first', rows: 4 },
] as const

const withRows = (report: Report, most: number): Report => ({
  ...report,
  sections: report.sections.map((section) => ({
    ...section,
    tables: section.tables.map((table) => ({ ...table, shown: Math.min(table.shown, most) })),
  })),
})

interface Picture {
  section: Section
  index: number
  chart: Chart
  png: Buffer
}

/** One after the other: a report has a handful, and the service has other work. */
const draw = async ({ sections, scope }: Report): Promise<Picture[]> => {
  const pictures: Picture[] = []
  for (const section of sections) {
    for (const [index, chart] of section.charts.entries()) {
      pictures.push({ section, index, chart, png: await chartPng(chart, scope.timezone) })
    }
  }
  return pictures
}

const finder =
  (pictures: readonly Picture[], srcOf: (picture: Picture) => string) =>
  (section: Section, index: number): Drawn => {
    const picture = pictures.find((each) => each.section.id === section.id && each.index === index)
    return picture ? { src: srcOf(picture), alt: picture.chart.alt } : { src: '', alt: '' }
  }

const safe = (id: string): string =>
  id
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 60)
const pictureName = ({ section, index }: Picture): string => `${safe(section.id)}-${index + 1}`
/** Unique to the mail, as RFC 2392 wants it, and the same when it is rendered again. */
const cidOf = (picture: Picture, report: Report): string => `${pictureName(picture)}.${safe(report.id)}@vedette`

const subjectOf = ({ scope, headline }: Report): string =>
  line(`Vedette ${kindName(scope.kind).toLowerCase()}: ${headline}`, LONGEST.subject)

const attachmentsOf = ({ sections }: Report): Rendered['attachments'] => {
  const taken = new Map<string, number>()
  return sections
    .flatMap(({ tables }) => tables)
    .filter(({ rows }) => rows.length > 0)
    .map((table) => {
      const name = csvName(table.id)
      const nth = (taken.get(name) ?? 0) + 1
      taken.set(name, nth)
      return {
        filename: nth === 1 ? name : name.replace(/\.csv$/, `-${nth}.csv`),
        type: 'text/csv; charset=utf-8',
        content: tableCsv(table),
      }
    })
}

/**
 * Makes mails, pages and PDFs of reports. The same report gives the same bytes. Whatever a report holds, no text of it becomes markup,
 * a link, a header or a formula.
 */
export const createRenderer = ({ attributions = () => [] }: RendererDependencies = {}): Renderer => ({
  mail: async (report, { publicUrl, unsubscribeUrl }) => {
    const pictures = await draw(report)
    const subject = subjectOf(report)
    const pictureOf = finder(pictures, (picture) => `cid:${cidOf(picture, report)}`)
    const foot = { publicUrl, unsubscribeUrl, attributions: attributions() }
    let html = ''
    for (const { links, rows } of SIZES) {
      html = await toHtml(documentOf(withRows(report, rows), { ...foot, pictureOf, isMail: true, links }, subject))
      if (Buffer.byteLength(html) <= GMAIL_CUTS) break
    }
    return {
      subject,
      html,
      text: reportText(report, foot),
      images: pictures.map((picture) => ({
        cid: cidOf(picture, report),
        filename: `${pictureName(picture)}.png`,
        png: picture.png,
        alt: line(picture.chart.alt, LONGEST.sentence),
      })),
      attachments: attachmentsOf(report),
    }
  },
  page: async (report, { publicUrl }) => {
    const pictures = await draw(report)
    const pictureOf = finder(pictures, ({ png }) => `data:image/png;base64,${png.toString('base64')}`)
    const options = { publicUrl, attributions: attributions(), pictureOf, isMail: false, links: 'all' as const }
    return toHtml(documentOf(report, options, subjectOf(report)))
  },
  pdf: (report, { publicUrl }) =>
    reportPdf(report, { publicUrl, attributions: attributions(), title: subjectOf(report) }),
})
