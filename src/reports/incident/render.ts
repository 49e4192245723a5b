import { absolute, escape, isolated, line, LONGEST } from '../render/disarm.ts'
import { FONT, LIGHT, MONO } from '../render/theme.ts'
import type { Rendered } from '../types.ts'
import type { Notice } from './types.ts'
import { wordsOf } from './words.ts'

export interface IncidentLook {
  publicUrl: string
  /** Lines that the geo databases' licences ask for. */
  attributions: readonly string[]
  /** Absent: there is nothing to unsubscribe from. */
  unsubscribeUrl?: string | undefined
}

const paragraph = (html: string, style = ''): string => `<p style="margin:0 0 12px;${style}">${html}</p>`
const list = (items: readonly string[], style = ''): string =>
  `<ul style="margin:0 0 12px;padding-left:20px;${style}">${items.map((item) => `<li>${item}</li>`).join('')}</ul>`

/** The mail of a notice, and its page: small, without pictures, so that it is read on a phone at night. */
export const renderIncident = (
  content: unknown,
  { publicUrl, attributions, unsubscribeUrl }: IncidentLook,
): Rendered => {
  const notice = content as Notice
  const words = wordsOf(notice)
  const link = absolute(publicUrl, notice.link)
  const who = [...words.who, ...(words.rest ? [words.rest] : [])]
  const foot = [`Made by Vedette at ${publicUrl}. ${notice.id}`, ...attributions].map((each) =>
    line(each, LONGEST.sentence),
  )
  const facts = [
    ...(words.campaign === null ? [] : [['Campaign', words.campaign]]),
    ...(words.target === null ? [] : [['Most asked for', words.target]]),
    ...(words.services === '' ? [] : [['Services', words.services]]),
  ] as [string, string][]
  const html = [
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
    `<meta name="color-scheme" content="light"><title>${escape(words.subject)}</title></head>`,
    `<body style="margin:0;padding:16px;background:${LIGHT.card};color:${LIGHT.ink};font:15px/22px ${escape(FONT)};overflow-wrap:anywhere">`,
    '<div style="max-width:600px;margin:0 auto">',
    paragraph(`<b style="color:${LIGHT.bad}">Incident</b>`),
    `<h1 style="margin:0 0 12px;font-size:20px;line-height:27px">${escape(words.what)}</h1>`,
    list(words.sightings.map(escape)),
    ...facts.map(([name, text]) =>
      paragraph(`<b>${name}:</b> <span style="font-family:${escape(MONO)};font-size:13px">${escape(text)}</span>`),
    ),
    list(who.map(escape), `font-family:${escape(MONO)};font-size:13px`),
    paragraph(escape(words.blocked)),
    paragraph(`<b>What to do:</b> ${escape(words.advice)}`),
    paragraph(`<a href="${escape(link)}" style="color:${LIGHT.accent}">Look into it&nbsp;→</a>`),
    ...[
      ...foot.map(escape),
      ...(unsubscribeUrl
        ? [`<a href="${escape(unsubscribeUrl)}" style="color:${LIGHT.accent}">Unsubscribe</a> from these notices.`]
        : []),
    ].map((each) => paragraph(each, `color:${LIGHT.soft};font-size:12px`)),
    '</div></body></html>',
  ].join('')
  const text = [
    words.what,
    words.sightings.map((each) => `- ${isolated(each)}`).join('\n'),
    ...(facts.length === 0 ? [] : [facts.map(([name, each]) => `${name}: ${isolated(each)}`).join('\n')]),
    who.map((each) => `- ${isolated(each)}`).join('\n'),
    words.blocked,
    `What to do: ${words.advice}`,
    `Look into it: ${link}`,
    [...foot, ...(unsubscribeUrl ? [`Unsubscribe: ${unsubscribeUrl}`] : [])].join('\n'),
  ].join('\n\n')
  return { subject: words.subject, html, text: `${text}\n`, images: [], attachments: [] }
}
