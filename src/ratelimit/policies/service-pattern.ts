import { literally } from './pattern.ts'

/** Whether a service is meant by a policy's `service`: the name itself, or one with `*` for any text. In linear time. */
export const createServiceTest = (pattern: string): ((service: string) => boolean) => {
  const [first, ...others] = pattern.split('*') as [string, ...string[]]
  const last = others.pop()
  if (last === undefined) return (service) => service === pattern
  return (service) => {
    if (!service.startsWith(first) || !service.endsWith(last) || service.length < first.length + last.length)
      return false
    let from = first.length
    for (const part of others) {
      const found = service.indexOf(part, from)
      if (found < 0) return false
      from = found + part.length
    }
    return from <= service.length - last.length
  }
}

/** The same as a regular expression for RE2 (`match()` of ClickHouse), anchored. */
export const serviceToRegExp = (pattern: string): string => `^${pattern.split('*').map(literally).join('.*')}$`
