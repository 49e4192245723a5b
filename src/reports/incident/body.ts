import { absolute } from '../render/disarm.ts'
import type { Notice } from './types.ts'
import { wordsOf } from './words.ts'

/** As Slack wants it: these three and no others. What begins a link or a mention is gone with them. */
const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

/** Visitors' text keeps its stars and underscores, and cannot end what shows it as it is. */
const code = (text: string): string => `\`${escaped(text).replaceAll('`', "'")}\``

/** Cut by lines, so that no escape is cut through: Slack takes 40,000 characters of a text and shows 4,000 well. */
export const slackBody = (notice: Notice, publicUrl: string): string => {
  const words = wordsOf(notice)
  return JSON.stringify({
    text: [
      `:rotating_light: *${escaped(words.what).replaceAll('*', '∗')}*`,
      ...words.sightings.map((each) => `• ${escaped(each)}`),
      ...(words.campaign === null ? [] : [`Campaign: ${code(words.campaign)}`]),
      ...(words.target === null ? [] : [`Most asked for: ${code(words.target)}`]),
      ...(words.services === '' ? [] : [`Services: ${code(words.services)}`]),
      ...words.who.map((each) => `• ${code(each)}`),
      ...(words.rest === '' ? [] : [escaped(words.rest)]),
      escaped(words.blocked),
      `*What to do:* ${escaped(words.advice)}`,
      `<${escaped(absolute(publicUrl, notice.link)).replaceAll('|', '%7C')}|Look into it>`,
    ].join('\n'),
  })
}

/** By Standard Webhooks: `data` is the notice, texts as they came; `timestamp` is when the hour was over. */
export const standardBody = ({ link, ...notice }: Notice, publicUrl: string): string =>
  JSON.stringify({ type: 'incident', timestamp: notice.hour.to, data: { ...notice, url: absolute(publicUrl, link) } })
