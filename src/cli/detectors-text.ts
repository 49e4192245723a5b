import type { Backtest, Detector, DetectorException, DetectorMode, ParameterValue } from '../detection/index.ts'
import { day, note, out, table, time } from './print.ts'

const WIDTH = 100

export const shownMode = (mode: DetectorMode): string => mode.toLowerCase().replaceAll('_', '-')
export const shownValue = (value: ParameterValue): string =>
  typeof value === 'object' ? value.join(',') : String(value)
export const shownWindow = (seconds: number): string =>
  seconds % 86_400 === 0 && seconds > 86_400 ? `${seconds / 86_400}d` : `${seconds / 3_600}h`
export const percent = (share: number | null | undefined): string =>
  typeof share === 'number' ? `${(share * 100).toFixed(0)} %` : ''
export const cut = (text: string, width: number): string =>
  text.length > width ? `${text.slice(0, width - 1)}…` : text

/** Parameters that are not as the file has them. */
export const changedOf = ({ parameters, values }: Detector): string =>
  parameters
    .filter(({ name, default: value }) => shownValue(values[name]!) !== shownValue(value))
    .map(({ name }) => `${name}=${shownValue(values[name]!)}`)
    .join(' ')

/** Lines no longer than `WIDTH`. */
export const wrapped = (text: string): string[] =>
  text.split('\n').flatMap((paragraph) => {
    const lines = ['']
    for (const word of paragraph.split(' ')) {
      const line = lines.at(-1)!
      if (line !== '' && line.length + word.length >= WIDTH) lines.push(word)
      else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
    }
    return lines
  })

export const showExceptions = (exceptions: readonly DetectorException[]): void =>
  table(
    exceptions.map((exception) => ({
      exception: exception.id,
      detector: exception.detector === '*' ? 'every one' : exception.detector,
      addresses: exception.cidr ?? 'any',
      paths: exception.pathPattern ?? 'any',
      made: day(exception.createdAt),
      by: exception.createdBy,
      note: exception.note,
    })),
  )

export const showBacktest = (detector: Detector, days: number, found: Backtest): void => {
  const { windows, flagged, flaggedAlreadyConfirmed, flaggedAlreadyFalsePositive, flaggedNew, sample } = found
  const settings = Object.entries(detector.values).map(([name, value]) => `${name}=${cut(shownValue(value), 40)}`)
  out(`${detector.name} over the last ${days} days, ${windows.toLocaleString('en-US')} closed hours`)
  if (settings.length > 0) out(settings.join(' '))
  out('')
  const counts: [string, number][] = [
    ['addresses flagged', flagged],
    ['  confirmed by people', flaggedAlreadyConfirmed],
    ['  called false by people', flaggedAlreadyFalsePositive],
    ['  flagged by no detector so far', flaggedNew],
  ]
  for (const [name, count] of counts) out(`${name.padEnd(34)}${count.toLocaleString('en-US').padStart(8)}`)
  if (sample.length > 0) {
    out('')
    table(
      sample.map(({ ip, window, observed, threshold, score, requests, target }) => ({
        address: ip,
        until: time(window.to),
        [detector.unit]: observed,
        threshold,
        score,
        requests,
        'most asked for': cut(target ?? '', 50),
      })),
    )
    if (flagged > sample.length) note(`These are the worst ${sample.length}.`)
  }
  note(`It took ${(found.elapsedMs / 1_000).toFixed(1)} s.`)
}
