import {
  createDetectorQueries,
  createDetectors,
  createSuspicious,
  type Detector,
  type DetectorQueries,
  type ParameterValue,
  readDetectors,
} from '../detection/index.ts'
import { createBlockList } from '../ratelimit/index.ts'
import { CliError } from './errors.ts'
import { readPlace } from './service.ts'
import { withStores } from './stores.ts'

/** Nobody waits for an answer over HTTP here. */
const BUDGET_MS = 1_800_000

/** Detectors as ClickHouse has them now, and what can be asked of them. Own ones are those of the service that runs here, unless DETECTORS_DIR is set. */
export const withDetectors = <T>(work: (queries: DetectorQueries) => Promise<T>): Promise<T> =>
  withStores(async ({ config, clickhouse, redis, log }) => {
    const place = await readPlace(config)
    const stores = { clickhouse, redis, log, dataDir: undefined }
    const trustedProxies = [...config.trustedProxies, ...(place.trustedProxies ?? [])]
    const files = await readDetectors(config.detectorsDir ?? place.detectorsDir)
    const blockList = createBlockList({ ...stores, trustedProxies })
    const detectors = createDetectors({ ...stores, files })
    const suspicious = createSuspicious({ ...stores, detectors, blockList })
    try {
      await Promise.all([blockList.start(), detectors.start(), suspicious.start()])
      // What could not be read just now is not to be shown as if it were all there is.
      await blockList.refresh()
      return await work(
        createDetectorQueries({
          clickhouse,
          detectors,
          blockList,
          trustedProxies,
          precision: suspicious.precision,
          budgetMs: BUDGET_MS,
        }),
      )
    } finally {
      await Promise.all([suspicious.stop(), detectors.stop(), blockList.stop()])
    }
  })

/** @throws {CliError} */
export const detectorOf = ({ detectors }: DetectorQueries, id: string): Detector => {
  const detector = detectors.get(id)
  if (detector) return detector
  throw new CliError(`there is no detector ${JSON.stringify(id)}; vedette detectors list shows them`)
}

/** `name=value` of the command line, by the types of the detector; a list is JSON, or words with commas. @throws {CliError} */
export const parametersOf = ({ id, parameters }: Detector, given: readonly string[]): Record<string, ParameterValue> =>
  Object.fromEntries(
    given.map((text) => {
      const [, name, value] = /^(\w+)=(.*)$/s.exec(text) ?? []
      const parameter = parameters.find((item) => item.name === name)
      if (value === undefined || !parameter)
        throw new CliError(
          `--param is ${JSON.stringify(text)}; allowed is name=value with a name of ${id}: ${parameters.map((item) => item.name).join(', ') || 'it has none'}`,
          2,
        )
      return [parameter.name, valueOf(parameter.default, value)]
    }),
  )

const valueOf = (like: ParameterValue, text: string): ParameterValue => {
  if (typeof like === 'string') return text
  // What is no number is told by the detector, which knows the range.
  if (typeof like === 'number') return text.trim() === '' || Number.isNaN(Number(text)) ? text : Number(text)
  if (!text.startsWith('[')) return text.split(',').map((item) => item.trim())
  try {
    return JSON.parse(text) as string[]
  } catch {
    throw new CliError(`--param has the list ${text}; allowed is JSON such as ["a", "b"], or words with commas: a,b`, 2)
  }
}
