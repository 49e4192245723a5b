import type { Chart, Column, Report, ReportScope, Section, Table } from '../../src/reports/types.ts'

const HOUR = 3_600_000
const at = (iso: string): Date => new Date(iso)
const SCOPE: ReportScope = {
  kind: 'DAILY',
  period: { from: at('2026-11-22T23:00:00Z'), to: at('2026-11-23T23:00:00Z') },
  previous: { from: at('2026-11-21T23:00:00Z'), to: at('2026-11-22T23:00:00Z') },
  timezone: 'Europe/Berlin',
  services: null,
}

/** A day's course: few at night, most in the evening. */
const course = (scale: number, phase: number): number[] =>
  Array.from({ length: 24 }, (_, hour) =>
    Math.round(scale * (1 + 0.75 * Math.sin(((hour - 9) / 24) * 2 * Math.PI) + 0.12 * Math.sin(hour * 1.7 + phase))),
  )

const hours = Array.from({ length: 24 }, (_, hour) => new Date(SCOPE.period.from.getTime() + hour * HOUR))

const volumeChart: Chart = {
  kind: 'line',
  title: 'Requests per hour',
  alt: 'Requests per hour on Monday: a quiet night of about 900, an evening peak of 7,100 at 20:00, above Sunday from 14:00 on.',
  unit: 'requests',
  categories: hours,
  series: [
    {
      name: 'Mon 23 Nov',
      values: course(4100, 0).map((value, hour) => (hour > 13 ? Math.round(value * 1.18) : value)),
    },
    { name: 'Sun 22 Nov', values: course(3900, 2), previous: true },
  ],
}

const countryChart: Chart = {
  kind: 'bar',
  title: 'Requests by country',
  alt: 'Germany 38,210, United States 21,904, Vietnam 9,870 (1,204 the day before), France 8,113, Netherlands 6,020, Poland 3,911.',
  unit: 'requests',
  categories: ['Germany', 'United States', 'Vietnam', 'France', 'Netherlands', 'Poland'],
  series: [
    { name: 'Mon 23 Nov', values: [38_210, 21_904, 9870, 8113, 6020, 3911] },
    { name: 'Sun 22 Nov', values: [35_120, 20_455, 1204, 8307, 6190, 3702], previous: true },
  ],
}

const volume: Section = {
  id: 'request_volume',
  title: 'Request volume',
  lead: '104,882 requests, 11.9 % more than on Sunday; api grew most, by 31 %. Errors rose from 1.9 % to 3.4 %, nearly all of them 404 from one network.',
  advice: null,
  figures: [
    {
      label: 'Requests',
      value: 104_882,
      unit: 'requests',
      previous: 93_721,
      more: 'neutral',
      link: '/reports/look?metric=requests&from=2026-11-22T23:00:00Z',
    },
    {
      label: 'Addresses',
      value: 6_214,
      unit: 'addresses',
      previous: 5_980,
      more: 'neutral',
      link: '/reports/look?metric=addresses',
    },
    {
      label: 'Errors',
      value: 0.0342,
      unit: 'ratio',
      previous: 0.0191,
      more: 'bad',
      link: '/reports/look?metric=errors',
    },
    { label: 'Slowest 5 % from', value: 412, unit: 'ms', previous: 447, more: 'bad', link: '/reports/look?metric=p95' },
  ],
  charts: [volumeChart],
  tables: [
    {
      id: 'services',
      title: 'Services',
      columns: [
        { key: 'service', title: 'Service', kind: 'text' },
        { key: 'requests', title: 'Requests', kind: 'requests' },
        { key: 'change', title: 'Change', kind: 'percent' },
        { key: 'errors', title: 'Errors', kind: 'ratio' },
        { key: 'p95', title: 'p95', kind: 'ms' },
        { key: 'bytes', title: 'Sent', kind: 'bytes' },
      ],
      rows: [
        { service: 'shop', requests: 61_204, change: 6.2, errors: 0.0121, p95: 388, bytes: 1_904_000_000 },
        { service: 'api', requests: 27_310, change: 31.4, errors: 0.0844, p95: 141, bytes: 212_400_000 },
        { service: 'blog', requests: 9_877, change: -2.1, errors: 0.0203, p95: 96, bytes: 402_000_000 },
        { service: 'auth', requests: 5_120, change: 4, errors: 0.0511, p95: 502, bytes: 9_100_000 },
        { service: 'admin', requests: 1_371, change: 0, errors: 0.004, p95: 233, bytes: 31_000_000 },
      ],
      shown: 5,
      link: '/reports/look?by=service',
    },
  ],
}

const countries: Section = {
  id: 'geographic_distribution',
  title: 'Where they come from',
  lead: 'Vietnam sent eight times as much as on Sunday, 9,870 requests, and is now third. The rest keeps its order.',
  advice: null,
  figures: [
    { label: 'Countries', value: 71, unit: 'none', previous: 69, more: 'neutral', link: '/reports/look?by=country' },
    {
      label: 'Not located',
      value: 0.4,
      unit: 'percent',
      previous: 0.4,
      more: 'bad',
      link: '/reports/look?country=unknown',
    },
  ],
  charts: [countryChart],
  tables: [],
}

const suspiciousColumns: Column[] = [
  { key: 'address', title: 'Address', kind: 'address' },
  { key: 'country', title: 'Country', kind: 'country' },
  { key: 'score', title: 'Score', kind: 'none' },
  { key: 'requests', title: 'Requests', kind: 'requests' },
  { key: 'detectors', title: 'What it did', kind: 'text' },
  { key: 'seen', title: 'Last seen', kind: 'time' },
]

const suspicious: Section = {
  id: 'suspicious_addresses',
  title: 'Suspicious addresses',
  lead: 'One new campaign: 41 addresses of AS45899 try passwords on auth, each below every limit. Four single addresses look for files that are not there.',
  advice:
    'Block 203.0.113.0/24 for a day: all of its 8,412 requests belong to the campaign, none to a signed-in customer. Then ask the 3 accounts that were opened from it for new passwords.',
  figures: [
    { label: 'Suspicious', value: 45, unit: 'addresses', previous: 3, more: 'bad', link: '/reports/look?suspicious' },
    { label: 'Campaigns', value: 1, unit: 'none', previous: 0, more: 'bad', link: '/reports/look?campaigns' },
    {
      label: 'Critical findings',
      value: 12,
      unit: 'findings',
      previous: 0,
      more: 'bad',
      link: '/reports/look?severity=CRITICAL',
    },
    {
      label: 'Blocked by hand',
      value: 2,
      unit: 'addresses',
      previous: 2,
      more: 'neutral',
      link: '/reports/look?blocks',
    },
  ],
  charts: [],
  tables: [
    {
      id: 'top-suspicious-addresses',
      title: 'Top suspicious addresses',
      columns: suspiciousColumns,
      rows: Array.from({ length: 23 }, (_, index) => ({
        address: index === 2 ? '2001:db8:85a3:8d3::/64' : `203.0.113.${(index * 37) % 250}`,
        country: ['VN', 'VN', 'US', 'VN', 'DE'][index % 5] ?? null,
        score: 97 - index * 3,
        requests: 1204 - index * 47,
        detectors: index === 2 ? ['sensitive_file', 'exploit_probe'] : ['distributed_login'],
        seen: new Date(SCOPE.period.to.getTime() - (index + 1) * 1_380_000),
      })),
      shown: 6,
      link: '/reports/look?suspicious&from=2026-11-22T23:00:00Z',
    },
    {
      id: 'probed-paths',
      title: 'Paths they asked for most',
      columns: [
        { key: 'path', title: 'Path', kind: 'hostile' },
        { key: 'requests', title: 'Requests', kind: 'requests' },
        { key: 'addresses', title: 'Addresses', kind: 'addresses' },
      ],
      rows: [
        { path: '/login', requests: 7_980, addresses: 41 },
        { path: '/.env', requests: 212, addresses: 4 },
        {
          path: '/wp-login.php?redirect_to=https://evil.example/a/very/long/way/to/say/nothing/at/all&reauth=1',
          requests: 96,
          addresses: 3,
        },
        { path: "/search?q=' UNION SELECT password FROM users--", requests: 31, addresses: 1 },
      ],
      shown: 4,
      link: '/reports/look?by=path',
    },
  ],
}

const accuracy: Section = {
  id: 'accuracy',
  title: 'How right the detectors are',
  lead: '29 of 31 reviewed findings of the last 30 days were true. 11 % of the flagged addresses were reviewed.',
  advice: 'Review the 12 critical findings: few verdicts make the figure soft, it may be anywhere from 79 % to 98 %.',
  figures: [
    { label: 'Precision', value: 0.935, unit: 'ratio', previous: 0.9, more: 'good', link: '/reports/look?precision' },
    { label: 'Reviewed', value: 0.11, unit: 'ratio', previous: 0.24, more: 'good', link: '/reports/look?verdicts' },
    { label: 'Time to verdict', value: 5.4, unit: 'hours', previous: 9.1, more: 'bad', link: '/reports/look?verdicts' },
    { label: 'False limits', value: null, unit: 'none', previous: null, more: 'bad', link: '/reports/look?limits' },
  ],
  charts: [],
  tables: [],
}

const quiet: Section = {
  id: 'rate_limits',
  title: 'Rate limits',
  lead: 'No limit was reached, as on Sunday.',
  advice: null,
  figures: [],
  charts: [],
  tables: [],
}

/** A day of a shop as it might be, with every kind of part. */
export const sampleReport = (): Report => ({
  id: 'rep_0123456789abcdef',
  scope: SCOPE,
  generatedAt: at('2026-11-24T05:00:12Z'),
  headline: '41 addresses try passwords on auth, each below every limit',
  sections: [volume, countries, suspicious, accuracy, quiet],
  empty: false,
})

/** Texts that visitors chose to do harm. */
export const HOSTILE = {
  script: '<script>alert(1)</script>',
  attribute: '"><img src=x onerror=alert(1)>',
  closing: '</td></table></mj-table><mj-raw><b>x</b>',
  conditional: '<!--[if mso]><b>outlook</b><![endif]-->',
  entity: '&lt;script&gt;&#60;b&#62;',
  style: '</style><style>body{display:none}</style>',
  formula: '=HYPERLINK("http://evil.example/","click")',
  command: "=cmd|'/C calc'!A0",
  plus: '+1+cmd',
  minus: '-2+3+cmd',
  at: '@SUM(1+9)*cmd',
  tab: '\t=1+1',
  carriageReturn: '\r=1+1',
  newLine: '\n=1+1',
  wide: '＝1＋1',
  semicolon: 'a;=1+1',
  header: 'x\r\nBcc: everyone@evil.example\r\n\r\n<b>body</b>',
  override: 'photo\u202egnp.exe\u2066\u2067\u2068\u2069\u200e\u200f',
  invisible: 'ad\u200bmin\u200c\u200d\u2060\ufeff\u00ad',
  rightToLeft: '/שלום/مرحبا',
  link: 'http://evil.example/phish see www.evil.example or evil.example, mailto:a@evil.example javascript:alert(1)',
  template: '{{constructor}} [[x]] ${1}%s',
  nul: 'a\u0000b\u0007\u001b[31mred',
  surrogate: 'a\ud800b',
  marks: `a${'\u0301'.repeat(5000)}`,
  long: `Mozilla/5.0 ${'A'.repeat(10_000)} END`,
} as const

const everywhere = (text: string): Section => {
  const table: Table = {
    id: text,
    title: text,
    columns: [
      { key: 'hostile', title: text, kind: 'hostile' },
      { key: 'text', title: text, kind: 'text' },
      { key: 'address', title: 'Address', kind: 'address' },
      { key: 'country', title: 'Country', kind: 'country' },
      { key: 'list', title: 'List', kind: 'text' },
      { key: 'count', title: 'Count', kind: 'requests' },
    ],
    rows: [{ hostile: text, text, address: text, country: text, list: [text, text], count: -5 }],
    shown: 1,
    link: text,
  }
  return {
    id: text,
    title: text,
    lead: text,
    advice: text,
    figures: [{ label: text, value: 1, unit: 'requests', previous: 2, more: 'bad', link: text }],
    charts: [],
    tables: [table],
  }
}

/** The same, with each hostile text in every place that holds one. */
export const hostileReport = (): Report => ({
  ...sampleReport(),
  scope: { ...SCOPE, services: Object.values(HOSTILE) },
  headline: Object.values(HOSTILE).join(' '),
  sections: Object.values(HOSTILE).map(everywhere),
})
