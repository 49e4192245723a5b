import { simpleParser } from 'mailparser'
import { describe, expect, it } from 'vitest'

import { createComposer } from '../../src/reports/deliver/message.ts'
import { contentOf, createReportMail } from '../../src/reports/deliver/index.ts'
import { change, number } from '../../src/reports/render/format.ts'
import { createRenderer, fileName } from '../../src/reports/render/index.ts'
import type { Report, Section } from '../../src/reports/types.ts'
import { readPdf } from './read-pdf.ts'
import { HOSTILE, hostileReport, sampleReport } from './sample.ts'

const publicUrl = 'https://vedette.marlow.example'
const ATTRIBUTION = 'IP geolocation by DB-IP (https://db-ip.com)'
const renderer = createRenderer({ attributions: () => [ATTRIBUTION] })
const report = sampleReport()
const bytes = await renderer.pdf(report, { publicUrl })
const pdf = await readPdf(bytes)
const withoutBlanks = (text: string): string => text.replace(/\s/g, '')

const named = (kind: Report['scope']['kind'], from: string): string =>
  fileName({ ...report.scope, kind, period: { from: new Date(from), to: new Date(from) } }, 'pdf')

const said = (lead: string): Section => ({
  id: 'part',
  title: 'Part',
  lead,
  advice: null,
  figures: [],
  charts: [],
  tables: [],
})

describe('a PDF of a report', () => {
  it('says all that the report says: each number with its change, each lead, advice and row that is shown', () => {
    const { sections, headline } = report
    expect(pdf.text).toContain(withoutBlanks(headline))
    for (const { title, lead, advice, figures, charts, tables } of sections) {
      const figure = figures.flatMap((each) => [
        (each.value === null ? '–' : number(each.value, each.unit)) + each.label,
        `${each.label}${change(each)?.text ?? ''}`,
      ])
      const table = tables.flatMap((each) => [each.title, ...each.columns.map((column) => column.title)])
      for (const part of [title, lead, advice ?? '', ...figure, ...charts.map((each) => each.title), ...table])
        expect(pdf.text).toContain(withoutBlanks(part))
    }
    for (const cell of ['61,204', '31.4 %', '1.9 GB', '203.0.113.37', 'Vietnam', '23 Nov, 23:37', '/.env'])
      expect(pdf.text).toContain(withoutBlanks(cell))
    expect(pdf.text).toContain('17morerows')
    expect(pdf.text).toContain(withoutBlanks(ATTRIBUTION))
  })

  it('has charts whose letters are letters, not pictures', () => {
    for (const part of ['GermanyUnitedStates', '38,21021,904', '16:0020:00', '3K6K9K']) expect(pdf.text).toContain(part)
    expect(bytes.includes('/Subtype /Image')).toBe(false)
  })

  it('is entitled, dated as the report, listed by its sections, and numbered', () => {
    expect(pdf.info).toMatchObject({
      Title: 'Vedette daily: 41 addresses try passwords on auth, each below every limit',
      Author: 'Vedette',
      CreationDate: 'D:20261124050012Z',
    })
    expect(pdf.outline).toEqual(report.sections.map(({ title }) => title))
    expect(pdf.pages).toBe(3)
    for (const page of [1, 2, 3]) {
      const text = pdf.placed.flatMap((each) => (each.page === page ? each.text : [])).join('')
      expect(withoutBlanks(text)).toContain('VedetteDailyreportMon23Nov2026')
      expect(withoutBlanks(text)).toContain(`Page${page}of3`)
    }
  })

  it('links each number to where it can be looked into, and nothing to anywhere else', () => {
    const wanted = report.sections.flatMap(({ figures, tables }) => [...figures, ...tables])
    for (const { link } of wanted) expect(pdf.links).toContain(`${publicUrl}${link}`)
    expect(new Set(pdf.links)).toEqual(new Set([publicUrl, ...wanted.map(({ link }) => `${publicUrl}${link}`)]))
  })

  it('is the same to the byte when it is made again', async () => {
    expect((await renderer.pdf(sampleReport(), { publicUrl })).equals(bytes)).toBe(true)
  })

  it('is called by what it is about', () => {
    expect(named('DAILY', '2026-11-23T23:00:00Z')).toBe('vedette-daily-2026-11-24.pdf')
    expect(named('HOURLY', '2026-11-24T13:00:00Z')).toBe('vedette-hourly-2026-11-24T13.pdf')
    expect(named('HOURLY', '2026-11-24T13:30:00Z')).toBe('vedette-hourly-2026-11-24T1330.pdf')
    expect(named('WEEKLY', '2026-11-15T23:00:00Z')).toBe('vedette-weekly-2026-11-16.pdf')
    expect(named('MONTHLY', '2026-09-30T22:00:00Z')).toBe('vedette-monthly-2026-10.pdf')
  })
})

describe('in the PDF of hostile texts', async () => {
  const hostile = await readPdf(await renderer.pdf(hostileReport(), { publicUrl }))

  it('no link leads away, and there is nothing else to follow, to run or to open', () => {
    expect(hostile.links.length).toBeGreaterThan(50)
    for (const link of hostile.links) expect(new URL(link).origin).toBe(publicUrl)
    expect([hostile.kinds, hostile.scripts, hostile.files]).toEqual([['Link'], null, null])
  })

  it('no reader finds an address to make a link of', () => {
    expect(hostile.text).not.toMatch(/https?:\/\/(?!db-ip)|www\./)
    expect(hostile.text).toContain('http[:]//evil[.]example/phishseewww[.]evil[.]example')
  })

  it('no character is invisible, and none moves others', () => {
    expect(hostile.text.match(/[\p{Cc}\p{Cf}\p{Cs}]/gu)).toBeNull()
    expect(hostile.text).toContain('photo\\u202egnp.exe\\u2066\\u2067')
    expect(hostile.text).toContain('a\\u0000b\\u0007\\u001b[31mred')
    expect(hostile.text).toContain(withoutBlanks(HOSTILE.script))
  })

  it('no text runs off its page', () => {
    for (const { from, to, bottom } of hostile.placed) {
      expect(from).toBeGreaterThan(47)
      expect(to).toBeLessThan(595.28 - 47)
      expect(bottom).toBeGreaterThan(20)
    }
  })

  it('letters that the font has not are shown by their codes, and those of any script do no harm', async () => {
    const all = Array.from({ length: 0xffff / 23 }, (_, index) => String.fromCharCode(index * 23))
    const sections = Array.from({ length: all.length / 80 }, (_, part) =>
      said(all.slice(part * 80, part * 80 + 80).join(part % 2 ? ' ' : '')),
    )
    const { text, pages } = await readPdf(
      await renderer.pdf({ ...report, sections: [said('Größe 你 😀 ﬁ'), ...sections] }, { publicUrl }),
    )
    expect(text).toContain('Größe\\u4f60\\u{1f600}')
    expect(pages).toBeLessThan(25)
  })
})

describe('a mail', () => {
  const mails = createReportMail({ builder: { build: () => Promise.resolve(report) }, renderer, publicUrl })
  const { compose } = createComposer({ mailFrom: 'vedette@example.com', dkim: undefined })
  const mailed = async (format: 'PDF' | 'JSON') => {
    const wanted = { kind: 'DAILY', timezone: 'Europe/Berlin', services: [], minSeverity: null, format } as const
    const content = contentOf(wanted, report.generatedAt)
    const mailing = { reportId: report.id, kind: 'DAILY', subscriptionId: 'sub_1', content }
    const rendered = await mails.render(mailing, { unsubscribeUrl: `${publicUrl}/unsubscribe/x` })
    return simpleParser((await compose({ id: 'dlv_1', to: 'ops@example.com', date: new Date(0), rendered })).bytes)
  }

  it('of format PDF says in short what changed and has the whole attached', async () => {
    const mail = await mailed('PDF')
    expect(mail.attachments.map(({ filename, contentType }) => [filename, contentType])).toEqual([
      ['vedette-daily-2026-11-23.pdf', 'application/pdf'],
    ])
    expect(mail.attachments[0]!.content.equals(bytes)).toBe(true)
    for (const body of [mail.text!, mail.html as string]) {
      for (const part of ['One new campaign', 'Review the 12', 'vedette-daily-2026-11-23.pdf', '/unsubscribe/x'])
        expect(body.replace(/\s+/g, ' ')).toContain(part)
      expect(body).not.toMatch(/61,204|<img/)
    }
  })

  it('of format JSON has the report as its page has it', async () => {
    const mail = await mailed('JSON')
    expect(mail.attachments.map(({ filename, contentType }) => [filename, contentType])).toEqual([
      ['vedette-daily-2026-11-23.json', 'application/json'],
    ])
    expect(JSON.parse(mail.attachments[0]!.content.toString())).toEqual(JSON.parse(JSON.stringify(report)))
    expect([mail.html, mail.text!.includes('One new campaign')]).toEqual([false, true])
  })
})
