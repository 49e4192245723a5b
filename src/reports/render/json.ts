import type { Report } from '../types.ts'

/**
 * A report for programs, as the page has it with `?format=json` and a mail of format JSON attached:
 *
 *     { id, generatedAt, headline, empty,
 *       scope: { kind, period: { from, to }, previous: { from, to }, timezone, services },
 *       sections: [{ id, title, lead, advice,
 *         figures: [{ label, value, unit, previous, more, link }],
 *         charts: [{ kind, title, alt, unit, categories, series: [{ name, values, previous? }] }],
 *         tables: [{ id, title, columns: [{ key, title, kind }], rows: [{ [key]: … }], shown, link }] }] }
 *
 * What each of them means stands at `Report`. Instants are RFC 3339 in UTC, numbers in their `unit` as they were measured, links paths
 * below PUBLIC_URL. Tables have all their rows. What visitors chose is there as they sent it: whoever shows it disarms it.
 */
export const reportJson = (report: Report): string => JSON.stringify(report)
