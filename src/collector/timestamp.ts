import { Fault, show } from './fault.ts'

const HOUR_MS = 3_600_000
const EARLIEST = Date.UTC(1990)
const ALLOWED = 'RFC 3339 such as 2026-01-31T12:00:00.000Z, or epoch in s, ms, µs or ns; from 1990 to one hour ahead'
const RFC_3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:[Zz]|([+-])(\d\d):(\d\d))$/

const COLON = 0x3a
const DOT = 0x2e

const daysIn = (year: number, month: number): number => new Date(Date.UTC(year, month, 0)).getUTCDate()

/** Epoch in ms, or undefined. A leap second (:60) becomes the last millisecond before it ends. */
const parseRfc3339 = (text: string): number | undefined => {
  const match = RFC_3339.exec(text)
  if (!match) return undefined
  const year = +match[1]!
  const month = +match[2]!
  const day = +match[3]!
  const hour = +match[4]!
  const minute = +match[5]!
  const second = +match[6]!
  const offset = match[8] === undefined ? 0 : (match[8] === '-' ? -1 : 1) * (+match[9]! * 60 + +match[10]!)
  if (month < 1 || month > 12 || day < 1 || day > 31 || (day > 28 && day > daysIn(year, month))) return undefined
  if (hour > 23 || minute > 59 || second > 60 || +(match[9] ?? 0) > 23 || +(match[10] ?? 0) > 59) return undefined
  const fraction = match[7]
  const ms = fraction === undefined ? 0 : fraction.length === 3 ? +fraction : Math.floor(+`0.${fraction}` * 1000)
  return Date.UTC(year, month - 1, day, hour, minute, Math.min(second, 59), second === 60 ? 999 : ms) - offset * 60_000
}

let minute = ''
let zone = ''
let minuteMs = 0

/**
 * Rows of one body mostly share minute and zone, so only seconds and fraction are read anew: 0.1 µs instead of 0.9.
 * Undefined: look at it the general way.
 */
const parseAgain = (text: string): number | undefined => {
  const seconds = digits(text, 17, 19)
  if (!(seconds <= 59) || text.charCodeAt(16) !== COLON) return undefined
  let ms = 0
  let at = 19
  if (text.charCodeAt(at) === DOT) {
    ms = digits(text, 20, 23)
    at = 23
    while (at < 29 && digits(text, at, at + 1) >= 0) at++
  }
  const begins = text.slice(0, 16)
  const ends = text.slice(at)
  if (begins !== minute || ends !== zone) {
    const known = parseRfc3339(`${begins}:00${ends}`)
    if (known === undefined) return undefined
    minute = begins
    zone = ends
    minuteMs = known
  }
  return Number.isNaN(ms) ? undefined : minuteMs + seconds * 1000 + ms
}

/** NaN where there is anything but digits. */
const digits = (text: string, start: number, end: number): number => {
  let value = 0
  for (let at = start; at < end; at++) {
    const digit = text.charCodeAt(at) - 0x30
    if (digit < 0 || digit > 9) return Number.NaN
    value = value * 10 + digit
  }
  return value
}

/** The unit follows from the size: in s the year 5138 is still below 10^11, in ms 1990 is above it, and so on. */
const fromEpoch = (value: number): number => {
  if (value < 1e11) return Math.floor(value * 1000)
  if (value < 1e14) return Math.floor(value)
  // A double holds ns of our time to 256 only, so a whole ms may come as a little less.
  return value < 1e17 ? Math.floor(value / 1e3) : Math.floor(value / 1e6 + 0.0005)
}

/** Epoch in ms from whatever a client calls a time. @throws {Fault} */
export const parseTimestamp = (value: unknown, now: number): number => {
  let ms: number | undefined
  if (typeof value === 'number') ms = fromEpoch(value)
  else if (typeof value === 'string')
    ms = parseAgain(value) ?? (/^\d{9,19}(\.\d+)?$/.test(value) ? fromEpoch(Number(value)) : parseRfc3339(value))
  if (ms !== undefined && ms >= EARLIEST && ms <= now + HOUR_MS) return ms
  throw new Fault('timestamp', `timestamp is ${show(value)}; allowed is ${ALLOWED}`)
}

const pad2 = Array.from({ length: 60 }, (_, value) => String(value).padStart(2, '0'))
const pad3 = Array.from({ length: 1000 }, (_, value) => String(value).padStart(3, '0'))
let formattedMinute = Number.NaN
let formatted = ''

/** As ClickHouse reads it fastest: `YYYY-MM-DD hh:mm:ss.mmm`, UTC. */
export const formatTimestamp = (ms: number): string => {
  const minutes = Math.floor(ms / 60_000)
  if (minutes !== formattedMinute) {
    formattedMinute = minutes
    formatted = new Date(minutes * 60_000).toISOString().slice(0, 17).replace('T', ' ')
  }
  const rest = ms - minutes * 60_000
  const seconds = Math.floor(rest / 1000)
  return `${formatted}${pad2[seconds]}.${pad3[rest - seconds * 1000]}`
}
