import {
  createVersions,
  StoreError,
  type Version,
  type VersionsDependencies,
  type WriteOptions,
} from '../store/index.ts'
import { checkDetector } from './check.ts'
import { ANY, checkException, exceptionIdOf, type NewException, type StoredException } from './exceptions.ts'
import {
  type Detector,
  DETECTOR_MODES,
  type DetectorException,
  type DetectorFile,
  type DetectorMode,
  type ParameterValue,
} from './types.ts'
import { applied, checkParameters, checkValue, invalid } from './values.ts'

type Dependencies = Omit<VersionsDependencies, 'kind'>

interface Setting {
  mode?: DetectorMode
  values: Record<string, ParameterValue>
}

export interface DetectorChange {
  mode?: DetectorMode | undefined
  parameters?: Readonly<Record<string, unknown>> | undefined
}

/** Detectors as they are set: their files, and what operators changed of them. */
export interface Detectors {
  /** An operator's own that ClickHouse refuses are told in the log; the hourly job passes over them. */
  start: () => Promise<void>
  stop: () => Promise<void>
  /** By id; broken settings of a parameter that the file no longer has are left out. */
  list: () => Detector[]
  get: (id: string) => Detector | undefined
  /** What ClickHouse has against an operator's own detectors, by their ids. @throws {ClickHouseError} it cannot be asked now */
  problems: () => Promise<Map<string, string>>
  /**
   * Sets the mode, parameters, or both; a parameter given as null goes back to its default.
   * @throws {StoreError} NOT_FOUND, INVALID with the field, CONFLICT, UNAVAILABLE
   */
  set: (id: string, change: DetectorChange, options: WriteOptions) => Promise<Detector>
  /** The same detector with other parameters, for trying them. @throws {StoreError} NOT_FOUND, INVALID */
  withParameters: (id: string, parameters: Readonly<Record<string, unknown>>) => Detector
  /** Newest first. */
  exceptions: () => DetectorException[]
  /** The same detector, cidr and pathPattern again: a new note. @throws {StoreError} INVALID with the field, UNAVAILABLE */
  addException: (exception: NewException, options: { by: string }) => Promise<DetectorException>
  /** @throws {StoreError} NOT_FOUND, UNAVAILABLE */
  removeException: (id: string, options: { by: string }) => Promise<DetectorException>
}

const MOST_EXCEPTIONS = 1_000

const exceptionOf = ({ id, value, changedBy, changedAt }: Version<StoredException>): DetectorException => ({
  id,
  ...value!,
  createdBy: changedBy,
  createdAt: changedAt,
})

export const createDetectors = ({
  files,
  ...dependencies
}: Dependencies & { files: ReadonlyMap<string, DetectorFile> }): Detectors => {
  const { log } = dependencies
  const settings = createVersions<Setting>({ kind: 'detector', ...dependencies })
  const excepted = createVersions<StoredException>({ kind: 'detector_exception', ...dependencies })

  const exceptions = (): DetectorException[] =>
    excepted
      .list()
      .map(exceptionOf)
      .sort((a, b) => b.createdAt.getTime() - a.createdAt.getTime() || (a.id < b.id ? -1 : 1))

  const assemble = (file: DetectorFile, all: readonly DetectorException[]): Detector => {
    const version = settings.get(file.id)
    const stored = version?.value
    const values = Object.fromEntries(file.parameters.map((item) => [item.name, item.default]))
    for (const parameter of file.parameters) {
      const set = stored?.values[parameter.name]
      if (set === undefined) continue
      try {
        values[parameter.name] = checkValue(parameter, set)
      } catch {
        // The file has another range by now: its default holds until somebody sets it anew.
      }
    }
    return {
      ...file,
      mode: stored?.mode ?? file.mode,
      values,
      exceptions: all.filter(({ detector }) => detector === ANY || detector === file.id),
      version: version?.version ?? 0,
    }
  }

  const fileOf = (id: string): DetectorFile => {
    const file = files.get(id)
    if (!file)
      throw new StoreError('NOT_FOUND', `there is no detector ${id}; there are ${[...files.keys()].join(', ')}`, {
        field: 'id',
      })
    return file
  }

  const list = (): Detector[] => {
    const all = exceptions()
    return [...files.values()].map((file) => assemble(file, all))
  }

  const problems = async (): Promise<Map<string, string>> => {
    const found = new Map<string, string>()
    for (const detector of list().filter(({ own }) => own)) {
      const problem = await checkDetector(dependencies.clickhouse, detector)
      if (problem !== undefined) found.set(detector.id, problem)
    }
    return found
  }

  const tellProblems = async (): Promise<void> => {
    const found = await problems().catch((error: unknown) => {
      log.debug({ err: error }, 'own detectors are not checked: ClickHouse is away')
      return new Map<string, string>()
    })
    for (const [id, reason] of found)
      log.error({ detector: id, path: files.get(id)!.path, reason }, 'a detector cannot be run, and is passed over')
  }

  return {
    start: async () => {
      await Promise.all([settings.start(), excepted.start()])
      await tellProblems()
    },
    stop: async () => {
      await Promise.all([settings.stop(), excepted.stop()])
    },
    list,
    problems,
    get: (id) => {
      const file = files.get(id)
      return file && assemble(file, exceptions())
    },
    set: async (id, { mode, parameters = {} }, { by, expectedVersion }) => {
      const file = fileOf(id)
      if (mode !== undefined && !DETECTOR_MODES.includes(mode)) invalid('mode', mode, DETECTOR_MODES.join(', '))
      const change = checkParameters(file, parameters)
      await settings.update(
        id,
        (current) => {
          const version = current?.version ?? 0
          if (expectedVersion !== undefined && version !== expectedVersion)
            throw new StoreError(
              'CONFLICT',
              `the detector ${id} is at version ${version} by now, not ${expectedVersion}; read it again and repeat the change`,
              { field: 'expectedVersion' },
            )
          const before = current?.value
          const set = mode ?? before?.mode
          return { ...(set && { mode: set }), values: applied(before?.values ?? {}, change) }
        },
        { by },
      )
      return assemble(file, exceptions())
    },
    withParameters: (id, parameters) => {
      const detector = assemble(fileOf(id), exceptions())
      const defaults = Object.fromEntries(detector.parameters.map((item) => [item.name, item.default]))
      return {
        ...detector,
        values: { ...defaults, ...applied(detector.values, checkParameters(detector, parameters)) },
      }
    },
    exceptions,
    addException: async (given, { by }) => {
      const value = checkException(given, files)
      const id = exceptionIdOf(value)
      if (!excepted.get(id) && excepted.list().length >= MOST_EXCEPTIONS)
        throw new StoreError(
          'INVALID',
          `there are ${MOST_EXCEPTIONS} exceptions, as many as there may be; remove some, or name wider ones`,
          { field: 'cidr' },
        )
      return exceptionOf(await excepted.write(id, value, { by }))
    },
    removeException: async (id, { by }) => {
      const current = excepted.get(id)
      if (!current) throw new StoreError('NOT_FOUND', `there is no exception ${id}`, { field: 'id' })
      await excepted.write(id, undefined, { by })
      return exceptionOf(current)
    },
  }
}
