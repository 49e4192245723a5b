export const REPORT_KINDS = ['HOURLY', 'DAILY', 'WEEKLY', 'MONTHLY'] as const
/** By the length of its period. */
export type ReportKind = (typeof REPORT_KINDS)[number]

/** What can be subscribed to: reports of periods when their time has come, and incidents at once. */
export const SUBSCRIPTION_KINDS = [...REPORT_KINDS, 'INCIDENT'] as const
export type SubscriptionKind = (typeof SUBSCRIPTION_KINDS)[number]

/** Half-open: [from, to). */
export interface Period {
  from: Date
  to: Date
}

/** What a report is about. */
export interface ReportScope {
  kind: ReportKind
  period: Period
  /** What it is compared with: the period of the same length before. */
  previous: Period
  /** IANA zone in which its days and hours are shown. */
  timezone: string
  /** Null: all. */
  services: readonly string[] | null
}

export type Unit = 'requests' | 'addresses' | 'percent' | 'ratio' | 'ms' | 'bytes' | 'findings' | 'hours' | 'none'

/** One number with what it was before. Every one of them can be looked into. */
export interface Figure {
  label: string
  /** Null: there is nothing to say. */
  value: number | null
  unit: Unit
  previous: number | null
  /** Whether more of it is good, bad or neither, for the colour of the change. */
  more: 'good' | 'bad' | 'neutral'
  /** Below PUBLIC_URL, where the number can be looked into. */
  link: string
}

export interface Column {
  key: string
  title: string
  /**
   * - `hostile`: text that a visitor chose (path, user agent, referer); the renderer shortens and disarms it
   * - `words`: a sentence with such text in it: disarmed as well, in letters for reading
   * - `enum`: a value of the API such as FALSE_POSITIVE; readers get it as words, files as it is
   */
  kind: 'text' | 'hostile' | 'words' | 'enum' | 'address' | 'country' | 'time' | Unit
}

export type Cell = string | number | Date | null | readonly string[]

export interface Table {
  /** Names the CSV attachment, such as `top-suspicious-addresses`. */
  id: string
  title: string
  columns: readonly Column[]
  /** All of them go into the CSV, the first `shown` into mail and page. */
  rows: readonly Readonly<Record<string, Cell>>[]
  shown: number
  link: string
}

export interface Chart {
  kind: 'line' | 'bar'
  title: string
  /** Says in words what the picture shows. */
  alt: string
  unit: Unit
  /** Instants of a line, names of bars. */
  categories: readonly (Date | string)[]
  series: readonly { name: string; values: readonly (number | null)[]; previous?: true }[]
}

/** One thing that a report speaks of, as its file in clickhouse/reports/ says. */
export interface Section {
  /** The file's name without `.sql`. */
  id: string
  title: string
  /** First: what changed. */
  lead: string
  /** And what to do about it; null: nothing. */
  advice: string | null
  figures: readonly Figure[]
  charts: readonly Chart[]
  tables: readonly Table[]
}

export interface Report {
  /** `rep_` and what kind, period and services make of it: the same when it is built again. */
  id: string
  scope: ReportScope
  generatedAt: Date
  /** One sentence that goes into the subject. */
  headline: string
  sections: readonly Section[]
  /** Nothing worth a mail happened: no requests, or no findings where a least severity was asked for. */
  empty: boolean
}

/** A report made ready for a reader. */
export interface Rendered {
  subject: string
  html: string
  text: string
  /** Referred to by `cid:` in the HTML of a mail, as data URLs in that of a page. */
  images: readonly { cid: string; filename: string; png: Buffer; alt: string }[]
  /** `type` with its charset. */
  attachments: readonly { filename: string; type: string; content: string | Buffer }[]
}

export interface Renderer {
  /** For mails: `unsubscribeUrl` goes into the foot. */
  mail: (report: Report, options: { publicUrl: string; unsubscribeUrl?: string }) => Promise<Rendered>
  /** For browsers: one whole page that looks like the mail. */
  page: (report: Report, options: { publicUrl: string }) => Promise<string>
  /** For printers and files: the page on A4. */
  pdf: (report: Report, options: { publicUrl: string }) => Promise<Buffer>
}

export interface ReportBuilder {
  build: (
    scope: ReportScope,
    options?: { minSeverity?: 'LOW' | 'MEDIUM' | 'HIGH' | 'CRITICAL' | undefined; signal?: AbortSignal | undefined },
  ) => Promise<Report>
}
