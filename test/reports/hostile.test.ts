import { describe, expect, it } from 'vitest'

import { createRenderer } from '../../src/reports/render/index.ts'
import { readCsv } from './csv.ts'
import { HOSTILE, hostileReport } from './sample.ts'

const publicUrl = 'https://vedette.marlow.example'
const renderer = createRenderer()
const mail = await renderer.mail(hostileReport(), { publicUrl })
const page = await renderer.page(hostileReport(), { publicUrl })

/** Control characters, bidi marks, what has no width; ours are line ends, and in plain text isolates. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}]/gu
const invisibleIn = (text: string, allowed: string): string[] =>
  (text.match(INVISIBLE) ?? []).filter((character) => !allowed.includes(character))

/** Conditions that Outlook reads and all others take for comments: what is within them is looked at as well. */
const CONDITION = /<!--\[if (?:mso|mso \| IE|lte mso 11|!mso)\]>(?:<!-->)?|(?:<!--)?<!\[endif\]-->/g

/** What MJML and the renderer write; all else that looks like a tag came from outside. */
const OURS =
  /^<(?:!doctype html|\/?(?:html|head|title|meta|style|body|div|table|tbody|tr|td|th|h1|h2|h3|p|a|b|bdi|br|wbr|span|noscript|xml|o:[A-Za-z]+))(?:[\s>]|\/>)/

describe.each([
  ['mail', mail.html],
  ['page', page],
])('in the HTML of a %s', (_, html) => {
  const tags = html.replace(CONDITION, '').match(/<[^<>]*>?/g) ?? []

  it('no text becomes an element, an attribute or a comment', () => {
    expect(tags.filter((tag) => !OURS.test(tag))).toEqual([])
    expect(tags.filter((tag) => /<(script|iframe|object|form|svg|base|link)/i.test(tag))).toEqual([])
    expect(tags.filter((tag) => /\son\w+\s*=/i.test(tag.replace(/"[^"]*"/g, '""')))).toEqual([])
    expect(html.match(/<img/g)).toBeNull()
    expect(html.match(/<style/g)?.length).toBe(html.match(/<\/style>/g)?.length)
    expect(html).toContain('&#60;script&#62;alert(1)&#60;/script&#62;')
    expect(html).toContain('&#38;lt;script&#38;gt;&#38;#60;b&#38;#62;')
  })

  it('no link leads away, whatever a report gives for one', () => {
    const hrefs = [...html.matchAll(/href="([^"]*)"/g)].map((match) => match[1] ?? '')
    expect(hrefs.length).toBeGreaterThan(50)
    for (const href of hrefs) expect(new URL(href.replaceAll(/&#(\d+);/g, ' ')).origin).toBe(publicUrl)
  })

  it('no mail program finds an address to make a link of', () => {
    const seen = html
      .slice(html.indexOf('<body'))
      .replaceAll('<wbr>', '')
      .replace(/<[^>]*>/g, ' ')
    expect(seen).not.toMatch(/https?:\/\/|www\./)
    expect(seen).toContain('http[:]//evil[.]example/phish see www[.]evil[.]example or evil[.]example')
  })

  it('no character is invisible, moves others or ends the text', () => {
    expect(invisibleIn(html, '\n')).toEqual([])
    expect(html).toContain('photo\\u202egnp.exe\\u2066\\u2067')
    expect(html).toContain('ad\\u200bmin')
    expect(html).toContain('a\\u0000b\\u0007\\u001b[31mred')
    expect(html).toContain('a\\ud800b')
  })

  it('no text is longer than its place', () => {
    expect(html.includes('A'.repeat(601))).toBe(false)
    expect(html).not.toMatch(/\u0301{4}/)
    const cells = [...html.replaceAll('<wbr>', '').matchAll(/<bdi>([^<]*)<\/bdi>/g)].map((match) =>
      (match[1] ?? '').replaceAll(/&#\d+;/g, '?'),
    )
    expect(cells.length).toBeGreaterThan(100)
    for (const cell of cells) expect(cell.length).toBeLessThanOrEqual(360)
    expect(html.replaceAll('<wbr>', '')).toMatch(/<bdi>Mozilla\/5\.0 A+…<\/bdi>/)
  })
})

describe('in plain text', () => {
  it('no character is invisible, and what is written from the right is closed in', () => {
    expect(invisibleIn(mail.text, '\n\u2068\u2069')).toEqual([])
    for (const line of mail.text.split('\n')) {
      expect(line.match(/\u2068/g)?.length ?? 0).toBe(line.match(/\u2069/g)?.length ?? 0)
    }
    expect(mail.text).toContain('\u2068/שלום/مرحبا\u2069')
  })

  it('no address of a visitor becomes a link', () => {
    const links = mail.text.match(/\b(?:https?:\/\/|www\.)\S+/g) ?? []
    expect(links.filter((link) => !link.startsWith(publicUrl))).toEqual([])
  })

  it('a text of 10,000 characters is cut', () => {
    expect(mail.text.includes('A'.repeat(601))).toBe(false)
    for (const line of mail.text.split('\n')) expect(line.length).toBeLessThan(2000)
  })
})

describe('in headers', () => {
  it('the subject is one short line without control characters, whatever the headline holds', async () => {
    for (const headline of Object.values(HOSTILE)) {
      const { subject } = await renderer.mail({ ...hostileReport(), headline, sections: [] }, { publicUrl })
      expect(invisibleIn(subject, '')).toEqual([])
      expect(subject.length).toBeLessThanOrEqual(160)
      expect(subject).toMatch(/^Vedette daily: ./)
    }
  })

  it('names of files and of pictures are plain words', async () => {
    const report = hostileReport()
    const charts = [
      {
        kind: 'bar' as const,
        title: 'x',
        alt: HOSTILE.attribute,
        unit: 'none' as const,
        categories: Object.values(HOSTILE),
        series: [{ name: HOSTILE.script, values: [1, 2, 3] }],
      },
    ]
    const sections = report.sections.map((section, index) => ({ ...section, charts: index < 2 ? charts : [] }))
    const { images, attachments, html } = await renderer.mail(
      { ...report, id: HOSTILE.header, sections },
      { publicUrl },
    )
    for (const { filename } of [...images, ...attachments]) expect(filename).toMatch(/^[a-z0-9-]{1,64}\.(png|csv)$/)
    for (const { cid } of images) expect(cid).toMatch(/^[a-z0-9.-]+@vedette$/)
    expect(new Set(attachments.map(({ filename }) => filename)).size).toBe(attachments.length)
    expect(html).toContain('alt="&#34;&#62;&#60;img src=x onerror=alert(1)&#62;"')
  })
})

describe('in CSV', () => {
  const cells = mail.attachments.flatMap(({ content }) => readCsv(String(content)).flat())

  it('every table can be read, and each row has its columns', () => {
    expect(mail.attachments).toHaveLength(Object.keys(HOSTILE).length)
    for (const { content } of mail.attachments)
      expect(readCsv(String(content)).map((row) => row.length)).toEqual([6, 6])
  })

  it('no cell is a formula, also where a semicolon separates; numbers stay numbers', () => {
    expect(cells.filter((cell) => /^\s*[=+\-@|＝＋－＠]/u.test(cell) && !/^-5$/.test(cell))).toEqual([])
    expect(cells.filter((cell) => /;[=+\-@]/.test(cell))).toEqual([])
    for (const formula of [HOSTILE.formula, HOSTILE.command, HOSTILE.plus, HOSTILE.minus, HOSTILE.at]) {
      expect(cells).toContain(`'${formula}`)
    }
    expect(cells).toContain("'\\u0009=1+1")
    expect(cells.filter((cell) => cell === '-5')).toHaveLength(Object.keys(HOSTILE).length)
  })

  it('no cell holds a line end or anything invisible, and none is longer than a spreadsheet takes', () => {
    expect(cells.flatMap((cell) => invisibleIn(cell, ''))).toEqual([])
    for (const cell of cells) expect(cell.length).toBeLessThanOrEqual(4000)
    expect(cells).toContain('x\\u000d\\u000aBcc: everyone@evil.example\\u000d\\u000a\\u000d\\u000a<b>body</b>')
  })
})
