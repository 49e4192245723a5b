import type { Mailing } from '../../src/reports/deliver/index.ts'
import type { Rendered } from '../../src/reports/types.ts'

export const SECRET = 'the secret of the tests, of 32 or more'
export const PUBLIC_URL = 'https://vedette.example.com'

const PIXEL = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)

/** A small report, made ready. */
export const rendered = (unsubscribeUrl = 'none', subject = 'Daily report: 3 findings'): Rendered => ({
  subject,
  html: `<p>Größe <img src="cid:chart-1" alt="a chart"></p><a href="${unsubscribeUrl}">Unsubscribe</a>`,
  text: `Größe\n\n.a line that begins with a dot\nUnsubscribe: ${unsubscribeUrl}\n`,
  images: [{ cid: 'chart-1', filename: 'chart-1.png', png: PIXEL, alt: 'a chart' }],
  attachments: [
    {
      filename: 'top-addresses.csv',
      type: 'text/csv; charset=utf-8',
      content: 'address,requests\r\n203.0.113.9,12\r\n',
    },
  ],
})

export const mailing = (given: Partial<Mailing> = {}): Mailing => ({
  reportId: 'rep_1',
  kind: 'DAILY',
  subscriptionId: 'sub_1',
  content: { day: '2026-11-24' },
  ...given,
})
