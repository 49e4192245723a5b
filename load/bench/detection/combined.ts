import type { LogRow } from '../../../test/support/request-logs.ts'

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** `17/May/2015:10:05:03 +0000` */
export const stamp = (time: Date): string => {
  const [, year, month, day, clock] = /^(\d+)-(\d+)-(\d+)T(.{8})/.exec(time.toISOString())!
  return `${day}/${MONTHS[Number(month) - 1]}/${year}:${clock} +0000`
}

/** As nginx writes what a client sent: quotes, backslashes and bytes that are not printable ASCII as `\xHH`. */
const escape = (text: string): string =>
  /^[ !#-[\]-~]*$/.test(text)
    ? text
    : [...Buffer.from(text)]
        .map((byte) =>
          byte < 0x20 || byte > 0x7e || byte === 0x22 || byte === 0x5c
            ? `\\x${byte.toString(16).toUpperCase().padStart(2, '0')}`
            : String.fromCharCode(byte),
        )
        .join('')

const given = (text: string | undefined): string => (text ? escape(text) : '-')

/** A row as a line of the combined log format. What was no HTTP request (method `-`) is written as it came. */
export const combinedLine = (row: LogRow): string => {
  const target = row.query ? `${row.path}?${row.query}` : (row.path ?? '/')
  const request = row.method === '-' ? target : `${row.method ?? 'GET'} ${target} ${row.protocol || 'HTTP/1.1'}`
  const user = given(row.userId).replaceAll(' ', '_')
  return `${row.ip} - ${user} [${stamp(row.timestamp)}] "${escape(request)}" ${row.status ?? 200} ${row.responseBytes ?? 0} "${given(row.referer)}" "${given(row.userAgent)}"`
}
