import type { Report, Section, Table } from '../types.ts'
import { escape, line, LONGEST, prose } from './disarm.ts'
import { FULL_MOMENT, kindName, period, services, time } from './format.ts'
import { LINK, tableParts, tiles, type Links, type Look } from './parts.ts'
import { STYLES } from './styles.ts'
import { FONT, LIGHT } from './theme.ts'

export interface Drawn {
  src: string
  alt: string
}

export interface PageOptions {
  publicUrl: string
  unsubscribeUrl?: string | undefined
  attributions: readonly string[]
  /** By section and place of the chart in it. */
  pictureOf: (section: Section, index: number) => Drawn
  /** Whether there are attachments to point to. */
  isMail: boolean
  links: Links
}

// As objects: MJML then parses no text of ours, and what is escaped stays as it is.
interface Node {
  tagName: string
  attributes: Record<string, string | boolean>
  children?: Node[]
  content?: string
}
const node = (tagName: string, attributes: Record<string, string | boolean>, children: Node[]): Node => ({
  tagName,
  attributes,
  children,
})
const leaf = (tagName: string, attributes: Record<string, string | boolean>, content: string): Node => ({
  tagName,
  attributes,
  content,
})

const clean = (text: string, longest: number): string => escape(prose(text, longest))

const text = (cssClass: string, attributes: Record<string, string | boolean>, content: string): Node =>
  leaf('mj-text', { 'css-class': cssClass, padding: '0', ...attributes }, content)

const band = (cssClass: string, attributes: Record<string, string | boolean>, children: Node[]): Node =>
  node('mj-section', { 'css-class': `pad ${cssClass}`, padding: '0 28px', ...attributes }, [
    node('mj-column', { padding: '0' }, children),
  ])

const whatToDo = (what: string): string =>
  `<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0"><tr><td class="tint mark ink" style="background-color:${LIGHT.tint};border-left:3px solid ${LIGHT.accent};padding:11px 14px;font-size:14px;line-height:21px;color:${LIGHT.ink}"><b class="accent" style="color:${LIGHT.accent}">What to do</b><br>${clean(what, LONGEST.sentence)}</td></tr></table><div style="line-height:16px">&nbsp;</div>`

const subtitle = (title: string): string =>
  `<h3 style="margin:0;padding:10px 0 6px;font-size:13px;line-height:18px;font-weight:600">${title}</h3>`

// Few blocks with plain HTML in them: each block of MJML's own is some 500 bytes of tables around it.
const opening = ({ title, lead, advice, figures }: Section, look: Look): string =>
  [
    `<h2 class="accent" style="margin:0;padding:22px 0 4px;font-size:13px;line-height:18px;font-weight:600;color:${LIGHT.accent}">${clean(title, LONGEST.title)}</h2>`,
    `<p style="margin:0;padding:0 0 14px">${clean(lead, LONGEST.sentence)}</p>`,
    ...(advice === null ? [] : [whatToDo(advice)]),
    ...(figures.length === 0 ? [] : [tiles(figures, look)]),
  ].join('')

const tableOf = (table: Table, look: Look): string => {
  const { title, rows, below } = tableParts(table, look)
  const frame = `class="rows ink" width="100%" cellpadding="0" cellspacing="0" border="0" style="font-size:13px;line-height:18px;color:${LIGHT.ink}"`
  return `${subtitle(title)}${rows === '' ? '' : `<table ${frame}>${rows}</table>`}<p class="soft" style="margin:0;padding:8px 0 12px;color:${LIGHT.soft}">${below}</p>`
}

const sectionOf = (section: Section, look: Look, pictureOf: PageOptions['pictureOf']): Node[] => {
  const small = { 'font-size': '13px', 'line-height': '18px' }
  const charts = section.charts.flatMap(({ title }, index) => {
    const { src, alt } = pictureOf(section, index)
    const image = { src, alt: clean(alt, LONGEST.sentence), width: '544px', padding: '0 0 12px' }
    return [
      text('ink', small, subtitle(clean(title, LONGEST.title))),
      leaf('mj-image', { ...image, 'border-radius': '6px', 'css-class': 'chart', 'fluid-on-mobile': true }, ''),
    ]
  })
  const tables = section.tables.map((table) => tableOf(table, look)).join('')
  return [
    band('card', { 'background-color': LIGHT.card, 'border-radius': '10px', padding: '0 28px 10px' }, [
      text('ink', { 'font-size': '17px', 'line-height': '25px' }, opening(section, look)),
      ...charts,
      ...(tables === '' ? [] : [text('ink', small, tables)]),
    ]),
    leaf('mj-raw', {}, '<div style="font-size:14px;line-height:14px">&nbsp;</div>'),
  ]
}

const foot = ({ scope, generatedAt }: Report, { publicUrl, unsubscribeUrl, attributions }: PageOptions): string =>
  [
    `This ${kindName(scope.kind).toLowerCase()} report was made by <a class="accent" style="${LINK};color:${LIGHT.accent}" href="${escape(publicUrl)}">Vedette</a> on ${escape(time(generatedAt, scope.timezone, FULL_MOMENT))}. Times are those of ${clean(scope.timezone, LONGEST.label)}.`,
    ...attributions.map((each) => escape(line(each, LONGEST.sentence))),
    ...(unsubscribeUrl
      ? [
          `<a class="accent" style="${LINK};color:${LIGHT.accent}" href="${escape(unsubscribeUrl)}">Unsubscribe</a> from these reports.`,
        ]
      : []),
  ].join('<br>')

/** The document as MJML has it. */
export const documentOf = (report: Report, options: PageOptions, subject: string): Node => {
  const { scope, headline, sections } = report
  const look: Look = {
    publicUrl: options.publicUrl,
    timezone: scope.timezone,
    isMail: options.isMail,
    links: options.links,
  }
  const when = `${kindName(scope.kind)} report · ${period(scope.period, scope.kind, scope.timezone)}`
  return node('mjml', { lang: 'en', dir: 'ltr' }, [
    node('mj-head', {}, [
      leaf('mj-title', {}, escape(subject)),
      leaf('mj-preview', {}, clean(sections[0]?.lead ?? headline, LONGEST.sentence)),
      leaf(
        'mj-raw',
        {},
        '<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark"><meta name="format-detection" content="telephone=no,date=no,address=no,email=no,url=no"><meta name="referrer" content="no-referrer">',
      ),
      node('mj-attributes', {}, [leaf('mj-all', { 'font-family': FONT, color: LIGHT.ink }, '')]),
      leaf('mj-style', {}, STYLES),
    ]),
    node('mj-body', { width: '600px', 'background-color': LIGHT.ground, 'css-class': 'ground' }, [
      band('', { padding: '30px 28px 22px' }, [
        text(
          'soft',
          { 'font-size': '13px', 'line-height': '19px', color: LIGHT.soft },
          `<b class="accent" style="color:${LIGHT.accent}">Vedette</b> &nbsp;${escape(when)}`,
        ),
        text(
          'ink headline',
          {
            'font-size': '27px',
            'line-height': '1.25',
            'font-weight': '700',
            'letter-spacing': '-0.3px',
            padding: '8px 0 8px',
          },
          `<h1 style="margin:0;font-size:inherit;font-weight:700">${clean(headline, LONGEST.headline).replaceAll(/\b(up|down) (?=\d)/g, '$1&nbsp;')}</h1>`,
        ),
        text(
          'soft',
          { 'font-size': '13px', 'line-height': '19px', color: LIGHT.soft },
          escape(`${services(scope)}, compared with ${period(scope.previous, scope.kind, scope.timezone)}`),
        ),
      ]),
      ...sections.flatMap((section) => sectionOf(section, look, options.pictureOf)),
      band('', { padding: '10px 28px 36px' }, [
        text('soft', { 'font-size': '12px', 'line-height': '19px', color: LIGHT.soft }, foot(report, options)),
      ]),
    ]),
  ])
}

/** MJML takes half a second to load, so nothing but a report does. */
export const toHtml = async (document: Node): Promise<string> => {
  const { default: mjml2html } = await import('mjml')
  const { html, errors } = await mjml2html(document, {
    validationLevel: 'soft',
    fonts: {},
    keepComments: true,
  })
  if (errors.length > 0)
    throw new Error(`the report is no valid MJML: ${errors.map(({ formattedMessage }) => formattedMessage).join('; ')}`)
  // Indentation is a third of it, and Gmail cuts a mail at 102 kB.
  return html.replace(/^\s+/gm, '').replace('<body  style', '<body class="ground" style')
}
