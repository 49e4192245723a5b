import { absolute, escape, isolated, line, LONGEST } from '../render/disarm.ts'
import { STYLES } from '../render/styles.ts'
import { FONT, LIGHT, MONO } from '../render/theme.ts'
import type { Rendered } from '../types.ts'
import type { Culprit, Notice } from './types.ts'
import { networkOf, placeOf, type Words, wordsOf } from './words.ts'

export interface IncidentLook {
  publicUrl: string
  /** Lines that the geo databases' licences ask for. */
  attributions: readonly string[]
  /** Absent: there is nothing to unsubscribe from. */
  unsubscribeUrl?: string | undefined
}

const TABLE = 'role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0"'

/** One row with one cell, which a phone gives less room to the sides. */
const band = (className: string, style: string, html: string): string =>
  `<div class="pad ${className}" style="${style}"><table ${TABLE} style="border-radius:10px"><tbody><tr><td class="ink" style="padding:0 28px;color:${LIGHT.ink};font:14px/21px ${escape(FONT)};overflow-wrap:anywhere">${html}</td></tr></tbody></table></div>`

const card = (title: string, html: string): string =>
  `${band(
    'card',
    `background-color:${LIGHT.card};border-radius:10px;padding-bottom:18px`,
    `<h2 class="accent" style="margin:0;padding:22px 0 4px;font-size:13px;line-height:18px;color:${LIGHT.accent}">${title}</h2>${html}`,
  )}<div style="line-height:14px">&nbsp;</div>`

const paragraph = (html: string, style = ''): string => `<p style="margin:0;padding:0 0 12px;${style}">${html}</p>`

const whatToDo = (advice: string, link: string): string =>
  `<table ${TABLE}><tr><td class="tint mark ink" style="background-color:${LIGHT.tint};border-left:3px solid ${LIGHT.accent};padding:11px 14px;color:${LIGHT.ink}"><b class="accent" style="color:${LIGHT.accent}">What to do</b><br>${escape(advice)}<br><a href="${escape(link)}" style="display:inline-block;margin:10px 0 4px;padding:7px 14px;border-radius:6px;background-color:${LIGHT.accent};color:${LIGHT.card};font-weight:600;text-decoration:none">Look into it&nbsp;→</a></td></tr></table>`

const fact = (name: string, text: string, style = ''): string =>
  paragraph(
    `<span class="soft" style="font-size:12px">${name}</span><br><span style="font-size:13px;${style}"><bdi>${escape(text)}</bdi></span>`,
    'padding-bottom:8px',
  )

const factsOf = ({ campaign, target, services }: Words): string[] => [
  ...(campaign === null ? [] : [fact('Campaign', campaign)]),
  ...(target === null ? [] : [fact('Most asked for', target, `font-family:${escape(MONO)}`)]),
  ...(services === '' ? [] : [fact('Services', services, `font-family:${escape(MONO)}`)]),
]

/** On a phone each row is a card of its own, as in reports. */
const whoTable = (addresses: readonly Culprit[]): string => {
  const columns = [
    { title: 'Address', of: ({ ip }: Culprit) => ip, className: 'first mono long' },
    { title: 'Country', of: placeOf, className: '' },
    { title: 'Network', of: networkOf, className: 'long' },
    { title: 'Score', of: ({ score }: Culprit) => String(Math.round(score)), className: 't' },
    { title: 'Blocked', of: ({ isBlocked }: Culprit) => (isBlocked ? 'yes' : 'no'), className: '' },
  ].filter(({ of }) => addresses.some((address) => of(address) !== ''))
  const head = columns.map(({ title }) => `<th align="left">${title}</th>`).join('')
  const rows = addresses.map((address) => {
    const cells = columns.map(({ title, of, className }, index) => {
      const text = of(address)
      const label = index === 0 ? '' : `<span class="of" style="display:none">${title}&nbsp;</span>`
      return `<td class="${className}${text === '' ? ' none' : ''}">${label}<bdi>${escape(text || '–')}</bdi></td>`
    })
    return `<tr class="row">${cells.join('')}</tr>`
  })
  return `<table class="rows ink" width="100%" cellpadding="0" cellspacing="0" border="0" style="font-size:13px;line-height:18px;color:${LIGHT.ink}"><tr class="head">${head}</tr>${rows.join('')}</table>`
}

const htmlOf = (notice: Notice, words: Words, link: string, foot: readonly string[]): string => {
  const [first = '', ...others] = words.sightings.map((each) => paragraph(escape(each)))
  return [
    '<!doctype html><html lang="en" dir="ltr"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">',
    '<meta name="color-scheme" content="light dark"><meta name="supported-color-schemes" content="light dark"><meta name="format-detection" content="telephone=no,date=no,address=no,email=no,url=no"><meta name="referrer" content="no-referrer">',
    `<title>${escape(words.subject)}</title><style>${STYLES}</style></head>`,
    `<body class="ground" style="margin:0;background-color:${LIGHT.ground}"><table class="ground" ${TABLE} style="background-color:${LIGHT.ground}"><tr><td></td><td width="600" style="width:600px;max-width:600px">`,
    band(
      '',
      'padding:30px 0 22px',
      `<p class="soft" style="margin:0;font-size:13px;color:${LIGHT.soft}"><b class="bad" style="color:${LIGHT.bad}">Vedette incident</b> &nbsp;${escape(words.hour)}</p><h1 style="margin:0;padding:8px 0 0;font-size:23px;line-height:1.25;letter-spacing:-0.3px">${escape(words.title)}</h1>`,
    ),
    card(
      'What was found',
      `<div style="font-size:17px;line-height:25px">${first}</div>${others.join('')}${whatToDo(words.advice, link)}`,
    ),
    card(
      'Who did it',
      `${paragraph(escape(words.blocked), 'font-size:17px;line-height:25px')}${whoTable(notice.addresses)}${words.rest === '' ? '' : paragraph(escape(words.rest), 'padding-top:8px')}<div style="line-height:12px">&nbsp;</div>${factsOf(words).join('')}`,
    ),
    band(
      '',
      'padding:10px 0 36px',
      `<p class="soft" style="margin:0;font-size:12px;line-height:19px">${foot.join('<br>')}</p>`,
    ),
    '</td><td></td></tr></table></body></html>',
  ].join('')
}

/** The mail of a notice, and its page: of one look with reports, but small and without pictures, so that it is read on a phone at night. */
export const renderIncident = (
  content: unknown,
  { publicUrl, attributions, unsubscribeUrl }: IncidentLook,
): Rendered => {
  const notice = content as Notice
  const words = wordsOf(notice)
  const link = absolute(publicUrl, notice.link)
  const foot = [`Made by Vedette at ${publicUrl}. ${notice.id}`, ...attributions].map((each) =>
    line(each, LONGEST.sentence),
  )
  const html = htmlOf(notice, words, link, [
    ...foot.map(escape),
    ...(unsubscribeUrl
      ? [
          `<a class="accent" href="${escape(unsubscribeUrl)}" style="color:${LIGHT.accent};text-decoration:none">Unsubscribe</a> from these notices.`,
        ]
      : []),
  ])
  const facts = [
    ...(words.campaign === null ? [] : [['Campaign', words.campaign] as const]),
    ...(words.target === null ? [] : [['Most asked for', words.target] as const]),
    ...(words.services === '' ? [] : [['Services', words.services] as const]),
  ]
  const text = [
    words.what,
    words.sightings.map((each) => `- ${isolated(each)}`).join('\n'),
    ...(facts.length === 0 ? [] : [facts.map(([name, each]) => `${name}: ${isolated(each)}`).join('\n')]),
    [...words.who, ...(words.rest ? [words.rest] : [])].map((each) => `- ${isolated(each)}`).join('\n'),
    words.blocked,
    `What to do: ${words.advice}`,
    `Look into it: ${link}`,
    [...foot, ...(unsubscribeUrl ? [`Unsubscribe: ${unsubscribeUrl}`] : [])].join('\n'),
  ].join('\n\n')
  return { subject: words.subject, html, text: `${text}\n`, images: [], attachments: [] }
}
