const MASK = '***'

const decoded = (name: string): string => {
  try {
    return decodeURIComponent(name.replaceAll('+', ' '))
  } catch {
    return name
  }
}

const escaped = (name: string): string => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/**
 * Replaces the values of secret parameters in a query (`a=1&token=x`) by `***`. Names are compared without case, decoded,
 * and by their last bracket: `user[password]` is `password`.
 */
export const createMask = (names: ReadonlySet<string>): ((query: string) => string) => {
  if (names.size === 0) return (query) => query
  // Most queries name nothing secret: one look decides it.
  const suspect = new RegExp(`(?:${[...names].map(escaped).join('|')})(?:\\]|%5d)?=|%[0-9a-f]{2}[^&=]*=`, 'i')
  return (query) => {
    if (!suspect.test(query)) return query
    return query
      .split(/([&;])/)
      .map((part) => {
        const equals = part.indexOf('=')
        if (equals < 0 || equals === part.length - 1) return part
        const name = decoded(part.slice(0, equals)).toLowerCase()
        const last = /\[([^[\]]+)\]$/.exec(name)?.[1] ?? name
        return names.has(last) || names.has(name) ? part.slice(0, equals + 1) + MASK : part
      })
      .join('')
  }
}

/** The same within a URL such as a referer: all behind the first `?`, up to the fragment. */
export const maskUrl = (url: string, mask: (query: string) => string): string => {
  const question = url.indexOf('?')
  if (question < 0) return url
  const hash = url.indexOf('#', question)
  const end = hash < 0 ? url.length : hash
  return url.slice(0, question + 1) + mask(url.slice(question + 1, end)) + url.slice(end)
}
