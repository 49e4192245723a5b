import { describe, expect, it, onTestFinished } from 'vitest'

import { createRenderer, createRendererAside } from '../../src/reports/render/index.ts'
import type { Figure, Report, Section, Table } from '../../src/reports/types.ts'
import { readCsv } from './csv.ts'
import { readPng } from './png.ts'
import { sampleReport } from './sample.ts'

const publicUrl = 'https://vedette.marlow.example'
const unsubscribeUrl = `${publicUrl}/unsubscribe/a?b=c&d=e`
const ATTRIBUTION = 'IP geolocation by DB-IP (https://db-ip.com)'
const renderer = createRenderer({ attributions: () => [ATTRIBUTION] })
const report = sampleReport()
const mail = await renderer.mail(report, { publicUrl, unsubscribeUrl })
const page = await renderer.page(report, { publicUrl })

const section = (parts: Partial<Section>): Section => ({
  id: 'part',
  title: 'Part',
  lead: 'Nothing changed.',
  advice: null,
  figures: [],
  charts: [],
  tables: [],
  ...parts,
})
const withSections = (...sections: Section[]): Report => ({ ...report, sections })
const figure = (parts: Partial<Figure>): Figure => ({
  label: 'Requests',
  value: 110,
  previous: 100,
  unit: 'requests',
  more: 'neutral',
  link: '/look',
  ...parts,
})
const textOf = async (...figures: Figure[]): Promise<string> =>
  (await renderer.mail(withSections(section({ figures })), { publicUrl })).text
const srcs = (html: string): string[] => [...html.matchAll(/\ssrc="([^"]*)"/g)].map((match) => match[1] ?? '')
const hrefs = (html: string): string[] => [...html.matchAll(/\shref="([^"]*)"/g)].map((match) => match[1] ?? '')

const headOf = async (kind: Report['scope']['kind'], from: string, to: string, timezone: string): Promise<string> => {
  const period = { from: new Date(from), to: new Date(to) }
  const scope = { ...report.scope, kind, period, previous: period, timezone }
  const { text } = await renderer.mail({ ...report, scope, sections: [] }, { publicUrl })
  return text.split('\n')[0] ?? ''
}

const bars = (name: string) => ({
  kind: 'bar' as const,
  title: 'Bars',
  alt: 'Bars',
  unit: 'requests' as const,
  categories: [name],
  series: [{ name: 'one', values: [1] }],
})

const partsOf = (html: string): string[] =>
  [...html.matchAll(/<(h1|h2|h3|td class="[^"]*"|th|img|a class="ink")/g)].map((match) => match[1] ?? '')

describe('a mail', () => {
  it('says in its subject what kind of report it is and what happened', () => {
    expect(mail.subject).toBe('Vedette daily: 41 addresses try passwords on auth, each below every limit')
  })

  it('says of each section what changed, then what to do, then the figures, then the rows, in HTML and in plain text', () => {
    for (const [body, value] of [
      [mail.html.slice(mail.html.indexOf('<h1')), '>45<'],
      [mail.text.replace(/\s+/g, ' '), ' 45 '],
    ] as const) {
      const places = ['One new campaign', 'What to do', value, 'Top suspicious addresses', '203.0.113.37'].map((part) =>
        body.indexOf(part),
      )
      expect(places).not.toContain(-1)
      expect(places).toEqual(places.toSorted((a, b) => a - b))
    }
  })

  it('shows a section without figures, charts and tables by its title and what it has to say', () => {
    expect(mail.html).toContain('No limit was reached, as on Sunday.')
    expect(mail.text).toContain('Rate limits\n-----------\n\nNo limit was reached, as on Sunday.\n')
  })

  it('links each figure and each number of a table to where it can be looked into, and nothing to anywhere else', () => {
    for (const { figures, tables } of report.sections) {
      for (const { link } of [...figures, ...tables]) {
        expect(hrefs(mail.html)).toContain(`${publicUrl}${link}`.replaceAll('&', '&#38;'))
        expect(mail.text).toContain(`${publicUrl}${link}\n`)
      }
    }
    expect(hrefs(mail.html).filter((href) => !href.startsWith(publicUrl))).toEqual([])
    expect(mail.html).toMatch(/<a [^>]*>61,204<\/a>/)
  })

  it('has values of the API as words, and as they are in its attachment', async () => {
    const table: Table = {
      ...(report.sections[2]?.tables[0] as Table),
      columns: [{ key: 'status', title: 'Status', kind: 'enum' }],
      rows: [{ status: ['2 FALSE_POSITIVE', '1 OPEN'] }],
    }
    const { html, text, attachments } = await renderer.mail(withSections(section({ tables: [table] })), { publicUrl })
    for (const body of [html.replaceAll('\u00a0', ' '), text]) expect(body).toContain('2 false positive, 1 open')
    expect(String(attachments[0]?.content)).toContain('"2 FALSE_POSITIVE, 1 OPEN"')
  })

  it('asks nothing of other servers: its pictures come with it, named once, with words for those who see none', () => {
    expect(srcs(mail.html)).toEqual(mail.images.map(({ cid }) => `cid:${cid}`))
    expect(new Set(mail.images.map(({ cid }) => cid)).size).toBe(2)
    expect(mail.html).toContain(`alt="${mail.images[0]?.alt}"`)
    expect(mail.images[0]?.alt).toContain('a quiet night of about 900')
    expect(mail.html).not.toMatch(/<link|@import|url\(|<script/)
  })

  it('tells mail programs that it has colours for light and dark, and lays itself out for phones', () => {
    expect(mail.html).toContain('<meta name="color-scheme" content="light dark">')
    expect(mail.html).toContain('@media (prefers-color-scheme: dark)')
    expect(mail.html).toContain('@media only screen and (max-width: 479px)')
  })

  it('ends with what it is, when it was made, the zone of its times, whose data it uses and how to end it', () => {
    for (const part of ['24 Nov 2026, 06:00 CET', 'Europe/Berlin', ATTRIBUTION]) {
      expect(mail.html).toContain(part)
      expect(mail.text).toContain(part)
    }
    expect(hrefs(mail.html)).toContain(unsubscribeUrl.replaceAll('&', '&#38;'))
    expect(mail.text).toContain(`Unsubscribe: ${unsubscribeUrl}\n`)
  })

  it('shows as many rows as the table asks for and says where the others are', () => {
    expect(mail.html.match(/<tr class="row">/g)).toHaveLength(5 + 6 + 4)
    expect(mail.html).toContain('17 more rows in the attachment top-suspicious-addresses.csv.')
    expect(mail.text).toContain('… 17 more rows and 2 more columns in top-suspicious-addresses.csv')
  })

  it('has plain text whose numbers stand below each other and whose lines need no folding', () => {
    expect(mail.text).toContain('\n  shop       61,204   6.2 %   1.2 %  388 ms    1.9 GB\n  api        27,310  31.4 %')
    expect(mail.text).not.toMatch(/<[a-z]|&\w+;/)
    const long = mail.text.split('\n').filter((line) => line.length > 76 && !line.includes('https://'))
    expect(long).toEqual([])
  })

  it.each([
    [10, 12],
    [20, 4],
  ])(
    'stays below the size at which Gmail hides the rest: of %d long tables it shows %d rows',
    async (length, shown) => {
      const table = report.sections[2]?.tables[0] as Table
      const tables = Array.from({ length }, (_, index) => ({ ...table, id: `t${index}`, shown: 12 }))
      const long = await renderer.mail(withSections(section({ tables })), { publicUrl })
      expect(Buffer.byteLength(long.html)).toBeLessThan(102_000)
      expect(long.html.match(/<tr class="row">/g)).toHaveLength(length * shown)
      expect(hrefs(long.html).filter((href) => href.includes('suspicious')).length).toBeGreaterThanOrEqual(10)
    },
  )

  it('is the same to the byte when it is made again', async () => {
    expect(await renderer.mail(sampleReport(), { publicUrl, unsubscribeUrl })).toEqual(mail)
  })
})

describe('a figure', () => {
  it.each([
    [{ value: 110, more: 'good' }, '▲ 10.0 %', 'good'],
    [{ value: 90, more: 'good' }, '▼ 10.0 %', 'bad'],
    [{ value: 110, more: 'bad' }, '▲ 10.0 %', 'bad'],
    [{ value: 90, more: 'bad' }, '▼ 10.0 %', 'good'],
    [{ value: 110, more: 'neutral' }, '▲ 10.0 %', 'neutral'],
    [{ value: 100, more: 'bad' }, 'unchanged', 'neutral'],
    [{ value: 5000, more: 'bad' }, '▲ 50 times', 'bad'],
  ] as const)('of %o reads %s in the colour for %s', async (parts, words, color) => {
    const { html } = await renderer.mail(withSections(section({ figures: [figure(parts)] })), { publicUrl })
    expect(html).toContain(`<b class="${color}"`)
    expect(html).toMatch(new RegExp(`<b class="${color}"[^>]*>${words.replace(' %', '\u00a0%')}</b>`))
  })

  it('says so where there is no number, none before, or none of before', async () => {
    const text = await textOf(
      figure({ label: 'Absent', value: null }),
      figure({ label: 'New', previous: null }),
      figure({ label: 'Appeared', previous: 0 }),
    )
    expect(text).toContain('  Absent      –\n  New       110\n  Appeared  110  ▲ from 0\n')
  })

  it('is written in its unit: shares in percent with their change in points, times, sizes', async () => {
    const text = await textOf(
      figure({ unit: 'ratio', value: 0.0342, previous: 0.0191 }),
      figure({ unit: 'ratio', value: 0.0587, previous: 0.0583 }),
      figure({ unit: 'percent', value: 0.04, previous: 12 }),
      figure({ unit: 'ms', value: 12_345, previous: 999 }),
      figure({ unit: 'bytes', value: 212_400_000, previous: 999 }),
      figure({ unit: 'hours', value: 5.44, previous: 5.44 }),
      figure({ unit: 'requests', value: 1_234_567, previous: 1_234_566 }),
    )
    for (const part of [
      '3.4 %  ▲ 1.5 pts (was 1.9 %)',
      '0.04 %',
      '12.3 s',
      '212.4 MB',
      '5.4 h  unchanged\n',
      '5.9 %  unchanged\n',
      '1,234,567',
    ]) {
      expect(text).toContain(part)
    }
  })
})

describe('a period', () => {
  it('is named in the days of its zone, with its last day and not the one after', async () => {
    const berlin = 'Europe/Berlin'
    expect(await headOf('HOURLY', '2026-11-23T12:00:00Z', '2026-11-23T13:00:00Z', berlin)).toBe(
      'Vedette hourly report, Mon 23 Nov 2026, 13:00–14:00',
    )
    expect(await headOf('WEEKLY', '2026-11-15T23:00:00Z', '2026-11-22T23:00:00Z', berlin)).toBe(
      'Vedette weekly report, 16–22 Nov 2026',
    )
    expect(await headOf('MONTHLY', '2026-10-01T07:00:00Z', '2026-11-01T07:00:00Z', 'America/Los_Angeles')).toBe(
      'Vedette monthly report, October 2026',
    )
  })
})

describe('a chart', () => {
  it('is a PNG, sharp at the width of a mail, with the line in the accent, what was before in grey, on white', () => {
    const { width, height, colors } = readPng(mail.images[0]?.png ?? Buffer.alloc(0))
    expect(width).toBe(1100)
    expect(height).toBe(510)
    expect(colors.get('#0f5a73')).toBeGreaterThan(1000)
    expect(colors.get('#9aa7b3')).toBeGreaterThan(300)
    expect(colors.get('#ffffff')).toBeGreaterThan(width * height * 0.4)
  })

  it('has its letters though no font is installed: a title of bars draws more than bars', async () => {
    const charts = [bars(''), bars('Netherlands')]
    const { images } = await renderer.mail(withSections(section({ charts })), { publicUrl })
    const [without, withName] = images.map(({ png }) => readPng(png).colors.get('#16212b') ?? 0)
    expect(without).toBe(0)
    expect(withName).toBeGreaterThan(200)
  })

  it('is drawn of nothing, of nulls and of zeros as well', async () => {
    const chart = { title: 'Empty', alt: 'Nothing', unit: 'requests' as const, kind: 'line' as const }
    const now = new Date('2026-11-23T00:00:00Z')
    const { images } = await renderer.mail(
      withSections(
        section({
          charts: [
            { ...chart, categories: [], series: [] },
            { ...chart, categories: [now], series: [{ name: 'a', values: [null] }] },
            { ...chart, kind: 'bar', categories: ['a', 'b'], series: [{ name: 'a', values: [0, null] }] },
          ],
        }),
      ),
      { publicUrl },
    )
    for (const { png } of images) expect(readPng(png).width).toBe(1100)
    expect(images).toHaveLength(3)
  })
})

describe('an attachment', () => {
  it('holds all rows of its table with bare numbers, times in UTC and nothing where nothing is known', () => {
    const csv = String(mail.attachments.find(({ filename }) => filename === 'top-suspicious-addresses.csv')?.content)
    const rows = readCsv(csv)
    expect(csv.startsWith('\ufeff"Address","Country",')).toBe(true)
    expect(rows).toHaveLength(1 + 23)
    expect(rows[1]).toEqual(['203.0.113.0', 'VN', '97', '1204', 'distributed_login', '2026-11-23T22:37:00.000Z'])
    expect(rows[3]?.[4]).toBe('sensitive_file, exploit_probe')
  })

  it('has a name of its own, and a table without rows has none', async () => {
    const table = report.sections[0]?.tables[0] as Table
    const { attachments } = await renderer.mail(
      withSections(section({ tables: [table, table, { ...table, id: 'none', rows: [] }] })),
      { publicUrl },
    )
    expect(attachments.map(({ filename }) => filename)).toEqual(['services.csv', 'services-2.csv'])
  })
})

describe('a page', () => {
  it('needs no script and nothing from elsewhere, so that the strictest policy lets it be seen', () => {
    expect(srcs(page)).toHaveLength(2)
    for (const src of srcs(page)) expect(src).toMatch(/^data:image\/png;base64,/)
    expect(page).not.toMatch(/<script|\son\w+=|<link|@import|url\(|cid:|<iframe|<form/)
  })

  it('looks like the mail: the same parts, without what only a mail has', () => {
    expect(partsOf(page)).toEqual(partsOf(mail.html))
    expect(page).not.toContain('Unsubscribe')
    expect(page).not.toContain('attachment')
  })
})

it('is the same from a thread of its own, which can end in the middle and is started again when it is needed', async () => {
  const aside = createRendererAside({ attributions: () => [ATTRIBUTION] })
  onTestFinished(aside.stop)
  const [first, second] = [0, 1].map(() => aside.mail(report, { publicUrl, unsubscribeUrl }))
  expect(await first).toEqual(mail)
  expect(await second).toEqual(mail)
  const cut = expect(aside.page(report, { publicUrl })).rejects.toThrow('the service stops')
  await aside.stop()
  await cut
  expect(await aside.page(report, { publicUrl })).toBe(page)
})
