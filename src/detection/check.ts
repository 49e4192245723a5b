import { type ClickHouse, ClickHouseError, type Sql, sql } from '../clickhouse/index.ts'
import { type FindOptions, statementOptions, viewOf } from './find.ts'
import { evidenceSql, passSql, statementSql } from './sql/compile.ts'
import type { Detector, DetectorFile } from './types.ts'

/** Whether a statement failed by itself: it does not compile, or needs more memory or time than one may have. */
export const isOwnFault = (error: unknown): error is ClickHouseError =>
  error instanceof ClickHouseError && (error.kind === 'refused' || error.kind === 'timeout')

/** Reasons can repeat the whole statement, which a line of a log need not. */
export const shortReason = ({ message }: Error): string =>
  message
    .replace(/[.:]? in scope .*?(?=\. Maybe you meant|$)|: while .*$/is, '')
    .replaceAll(/\s+/g, ' ')
    .slice(0, 300)

/** Any: what it holds is not read. */
const HOUR = new Date('2000-01-01T00:00:00Z')
const NUMBER = /^(?:Nullable\()?(?:U?Int|Float|Decimal|Bool)/

/**
 * Asks ClickHouse whether it can run a detector, without running it.
 * @returns what is wrong with it; undefined: nothing
 * @throws {ClickHouseError} it cannot be asked now
 */
export const checkDetector = async (
  clickhouse: ClickHouse,
  detector: Detector,
  options: Pick<FindOptions, 'signal' | 'comment'> = { comment: 'check of a detector' },
): Promise<string | undefined> => {
  const view = viewOf(HOUR, detector.windowSeconds, '0')
  const describe = (statement: Sql) =>
    clickhouse.query<{ name: string; type: string }>(sql`DESCRIBE TABLE (${statement})`, statementOptions(options))
  try {
    const { rows } = await describe(
      detector.stage === 'requests' ? passSql([detector], view) : statementSql(detector, view),
    )
    const types = new Map(rows.map(({ name, type }) => [name, type]))
    if (types.get('address') !== 'IPv6')
      return `its SELECT has address ${types.get('address') ?? 'missing'}; allowed is the address of requests, an IPv6`
    for (const name of ['observed', 'threshold'])
      if (!NUMBER.test(types.get(name) ?? ''))
        return `its SELECT has ${name} ${types.get(name) ?? 'missing'}; allowed is a number`
    if (detector.evidence !== '') await describe(evidenceSql([detector], view, sql`true`))
    return undefined
  } catch (error) {
    if (isOwnFault(error)) return `ClickHouse refuses it: ${shortReason(error)}`
    throw error
  }
}

/** The same of a file, with its defaults. @throws {ClickHouseError} it cannot be asked now */
export const checkDetectorFile = (clickhouse: ClickHouse, file: DetectorFile): Promise<string | undefined> =>
  checkDetector(clickhouse, {
    ...file,
    values: Object.fromEntries(file.parameters.map((item) => [item.name, item.default])),
    exceptions: [],
    version: 0,
  })
