import { StoreError } from '../store/index.ts'
import type { DetectorFile, DetectorParameter, ParameterValue } from './types.ts'

/** @throws {StoreError} INVALID with the field */
export const invalid = (field: string, given: unknown, allowed: string): never => {
  throw new StoreError('INVALID', `${field} is ${JSON.stringify(given)}; allowed is ${allowed}`, { field })
}

const rangeOf = ({ min, max, type }: DetectorParameter): string =>
  `a ${/Float/.test(type) ? 'number' : 'whole number'} from ${min} to ${max}`

/** @throws {StoreError} INVALID with the field and the range */
export const checkValue = (parameter: DetectorParameter, given: unknown): ParameterValue => {
  const field = `parameters.${parameter.name}`
  if (Array.isArray(parameter.default)) {
    const fits =
      Array.isArray(given) &&
      given.length <= 1_000 &&
      given.every((item) => typeof item === 'string' && item.length <= 500)
    return fits ? (given as string[]) : invalid(field, given, 'a list of texts, 1,000 at most')
  }
  if (typeof parameter.default === 'string')
    return typeof given === 'string' && given.length <= 10_000 ? given : invalid(field, given, 'a text')
  const fits =
    typeof given === 'number' &&
    given >= parameter.min! &&
    given <= parameter.max! &&
    (/Float/.test(parameter.type) || Number.isInteger(given))
  return fits ? given : invalid(field, given, rangeOf(parameter))
}

/** null: back to the default. @throws {StoreError} INVALID with the field and the range */
export const checkParameters = (
  file: DetectorFile,
  given: Readonly<Record<string, unknown>>,
): Record<string, ParameterValue | null> =>
  Object.fromEntries(
    Object.entries(given).map(([name, value]) => {
      const parameter =
        file.parameters.find((item) => item.name === name) ??
        invalid(
          'parameters',
          name,
          file.parameters.map((item) => item.name).join(', ') || 'none: this detector has no parameters',
        )
      return [name, value === null ? null : checkValue(parameter, value)]
    }),
  )

/** What is set after a change. */
export const applied = (
  before: Readonly<Record<string, ParameterValue>>,
  change: Readonly<Record<string, ParameterValue | null>>,
): Record<string, ParameterValue> =>
  Object.fromEntries(
    Object.entries({ ...before, ...change }).filter((entry): entry is [string, ParameterValue] => entry[1] !== null),
  )
