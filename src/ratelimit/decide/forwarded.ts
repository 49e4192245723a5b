/**
 * The `for` of each element of a Forwarded header (RFC 7239), in the order they stand, quotes taken off. An element
 * without one gives undefined, since that proxy named nobody. Undefined as a whole: the header cannot be read.
 */
export const forwardedFor = (header: string): (string | undefined)[] | undefined => {
  const found: (string | undefined)[] = []
  let client: string | undefined
  let at = 0
  const skipBlanks = (): void => {
    while (header[at] === ' ' || header[at] === '\t') at++
  }
  for (;;) {
    skipBlanks()
    PAIR.lastIndex = at
    const pair = PAIR.exec(header)
    if (pair) {
      const [whole, name, quoted, token] = pair
      at += whole.length
      if (name!.toLowerCase() === 'for') client = quoted?.replaceAll(/\\(.)/g, '$1') ?? token
      skipBlanks()
    }
    if (at === header.length) {
      found.push(client)
      return found
    }
    const separator = header[at++]
    if (separator === ',') {
      found.push(client)
      client = undefined
    } else if (separator !== ';') return undefined
  }
}

const PAIR = /([!#$%&'*+\-.^`|~\w]+)=(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+\-.^`|~\w:[\]]*))/y
