/** What a path has in it that is not as it is compared: `%`, `//`, `/.`, a slash at the end, none at the beginning. */
const UNUSUAL = /%|\/[./]|.\/$|^(?!\/)/
/** ASCII stands by itself; the bytes of other characters only mean something together. */
const ENCODED = /%[0-7][\da-f]|(?:%[89a-f][\da-f])+/gi
/** As a request to a proxy may name its target. */
const ORIGIN = /^[a-z][a-z\d+.-]*:\/\/[^/]*/i

const decoded = (sequence: string): string => {
  try {
    return decodeURIComponent(sequence)
  } catch {
    return sequence
  }
}

/**
 * The path as policies are compared with it, so that nobody walks round one by writing the same path otherwise: percent
 * sequences decoded once (what is no UTF-8 stays as it is), slashes merged, `.` and `..` resolved, no slash at the end.
 * `;parameters` and case stay. `%2F` becomes a slash: a service that takes it for a part of a name is covered by `/files/*`,
 * not by `/files/:name`.
 * @param path without the query; it may be a stranger's. Under 0.1 µs where there is nothing to do, 1 µs where there is.
 */
export const normalisePath = (path: string): string => {
  if (!UNUSUAL.test(path)) return path
  const kept: string[] = []
  const bare = path.startsWith('/') ? path : path.replace(ORIGIN, '')
  for (const segment of bare.replaceAll(ENCODED, decoded).split('/')) {
    if (segment === '..') kept.pop()
    else if (segment !== '' && segment !== '.') kept.push(segment)
  }
  return `/${kept.join('/')}`
}
