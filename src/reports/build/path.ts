import type { ReportKind } from '../types.ts'

/** What tells a report from others of its kind, as its address has it. */
export interface Placed {
  kind: ReportKind
  /** Beginning of its period. */
  from: Date
  /** IANA name. */
  timezone: string
  /** Null: all. */
  services: readonly string[] | null
}

/** An hour in UTC, whatever clocks do: `2026-11-24T13`, with minutes where a zone wants them; else a date of the zone. */
export const nameOf = (kind: ReportKind, from: Date, timezone: string): string =>
  kind === 'HOURLY'
    ? from.toISOString().slice(0, 16).replace(/:00$/, '')
    : from.toLocaleDateString('sv-SE', { timeZone: timezone })

/** `/reports/daily/2026-11-24` and what comes `below` it: where a report is, below PUBLIC_URL. */
export const pathTo = (
  { kind, from, timezone, services }: Placed,
  { below = '', query = {} }: { below?: string; query?: Readonly<Record<string, string>> } = {},
): string => {
  const parameters = new URLSearchParams([
    ...(timezone === 'UTC' ? [] : [['timezone', timezone]]),
    ...(services ?? []).map((service) => ['services', service]),
    ...Object.entries(query),
  ])
  const path = `/reports/${kind.toLowerCase()}/${nameOf(kind, from, timezone)}${below}`
  return parameters.size > 0 ? `${path}?${parameters}` : path
}
