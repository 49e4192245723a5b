import { ascii } from './json.ts'
import type { Settings } from './options.ts'
import type { Warnings } from './warnings.ts'

/** The service's own functions, made safe: one that throws is counted and warned of, and is as if it had given nothing. */
export interface Hooks<R> {
  skip: (source: R) => boolean
  clientAddress: (source: R) => string | undefined
  /** Empty: nobody is known. */
  user: (source: R) => string
  /** Empty: none given. */
  route: (source: R) => string
  apiKey: (source: R) => string
  /** The field of a row with a comma in front, or empty. */
  attributes: (source: R, isCut: boolean) => string
}

/** Its answer went out in part only: the client left, or the service broke off. */
const CUT = { incomplete: true }

const written = (given: object): string => {
  const json = ascii(given)
  return json === '{}' ? '' : `,"attributes":${json}`
}

export const createHooks = <R>(
  { skip, clientAddress, user, route, attributes, decide }: Settings<R>,
  warnings: Warnings,
): Hooks<R> => {
  const call = <T>(name: string, hook: (source: R) => T, source: R): T | undefined => {
    try {
      return hook(source)
    } catch (error) {
      warnings.fault(`the hook ${name} threw`, error)
      return undefined
    }
  }
  const text = (name: string, hook: ((source: R) => string | undefined) | undefined): ((source: R) => string) => {
    if (!hook) return () => ''
    return (source) => {
      // Numbers are what most ids are, whatever the types say.
      const given = call<unknown>(name, hook, source)
      return typeof given === 'string'
        ? given
        : typeof given === 'number' || typeof given === 'bigint'
          ? `${given}`
          : ''
    }
  }
  const address = text('clientAddress', clientAddress)

  return {
    skip: skip ? (source) => call('skip', skip, source) === true : () => false,
    clientAddress: clientAddress ? (source) => address(source) || undefined : () => undefined,
    user: text('user', user),
    route: text('route', route),
    apiKey: text('decide.apiKey', decide?.apiKey),
    attributes: attributes
      ? (source, isCut) => call('attributes', () => written({ ...attributes(source), ...(isCut && CUT) }), source) ?? ''
      : (_source, isCut) => (isCut ? written(CUT) : ''),
  }
}
