import type { DetectorParameter, ParameterValue } from '../types.ts'

const TEXT = String.raw`'(?:[^'\\]|\\.)*'`
const PARAMETER = new RegExp(
  String.raw`^(\w+) +(\w+(?:\(\w+\))?) *= *(\[(?: *${TEXT} *,?)*\]|${TEXT}|[^\s[\]']+)(?: *\[ *([^\s,]+) *, *([^\s\]]+) *\])? +(\S.*)$`,
)

/** What the smallest and the largest value of a number's type are. */
const NUMBERS: Record<string, readonly [number, number]> = {
  UInt8: [0, 2 ** 8 - 1],
  UInt16: [0, 2 ** 16 - 1],
  UInt32: [0, 2 ** 32 - 1],
  UInt64: [0, Number.MAX_SAFE_INTEGER],
  Int32: [-(2 ** 31), 2 ** 31 - 1],
  Int64: [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  Float32: [-3.4e38, 3.4e38],
  Float64: [-Number.MAX_VALUE, Number.MAX_VALUE],
}
const TYPES = [...Object.keys(NUMBERS), 'String', 'Array(String)']

/** They stand for the window in every detector. */
export const INSTANTS = ['hour', 'from', 'to']

const unquoted = (text: string): string => text.slice(1, -1).replaceAll(/\\(.)/g, '$1')
const textsOf = (list: string): string[] => (list.match(new RegExp(TEXT, 'g')) ?? []).map(unquoted)

/** `name Type = default [min, max] description`, read; or what is wrong with it. */
export const parseParameter = (given: string): DetectorParameter | string => {
  const [, name, type, value, least, most, description] = PARAMETER.exec(given) ?? []
  if (name === undefined)
    return `parameter is ${JSON.stringify(given)}; allowed is "name Type = default [min, max] description", the range for numbers alone, texts as 'text' and ['text', 'text']`
  const wrong = (what: string, said: string | undefined, allowed: string): string =>
    `${what} of parameter ${name} is ${said ?? 'missing'}; allowed is ${allowed}`
  if (INSTANTS.includes(name)) return `a parameter is named ${name}; allowed is any name but ${INSTANTS.join(', ')}`
  const common = { name, type: type!, description: description! }
  const edges = NUMBERS[type!]
  if (!edges) {
    if (!TYPES.includes(type!)) return wrong('the type', type, TYPES.join(', '))
    if (least !== undefined) return wrong('the range', `[${least}, ${most}]`, 'none, since it is no number')
    const isList = type === 'Array(String)'
    if (!value!.startsWith(isList ? '[' : "'"))
      return wrong('the default', value, isList ? "a list such as ['a', 'b']" : "a text such as 'a'")
    const text: ParameterValue = isList ? textsOf(value!) : unquoted(value!)
    return { ...common, default: text, min: undefined, max: undefined }
  }
  const kind = type!.startsWith('Float') ? 'number' : 'whole number'
  const fits = (text: string | undefined, [from, to]: readonly [number, number]): boolean => {
    const number = text === undefined || text === '' ? Number.NaN : Number(text)
    return number >= from && number <= to && (kind === 'number' || Number.isInteger(number))
  }
  if (least === undefined || most === undefined)
    return wrong('the range', undefined, '[min, max] behind the default of a number')
  if (!fits(least, edges) || !fits(most, edges) || Number(least) > Number(most))
    return wrong('the range', `[${least}, ${most}]`, `two ${kind}s that ${type} can hold, the smaller one first`)
  if (!fits(value, [Number(least), Number(most)]))
    return wrong('the default', value, `a ${kind} from ${least} to ${most}`)
  return { ...common, default: Number(value), min: Number(least), max: Number(most) }
}
