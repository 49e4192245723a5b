import { isIP } from 'node:net'

import { Fault, show } from '../fault.ts'
import { given, logTime, requestLine, unescape } from './log-values.ts'

const QUOTED = '"((?:[^"\\\\]|\\\\.)*)"'
/** `who [time] "request" status bytes[ "referer" "user agent"[ more]]` */
const LINE = new RegExp(`^(.+?) \\[([^\\]]{1,64})\\] ${QUOTED} (\\d{3}) (\\d+|-)(?: ${QUOTED} ${QUOTED})?(?: .*)?$`)

/** `[vhost[:port] ]address identity user`; the user may hold spaces. */
const parseWho = (who: string): { host?: string | undefined; ip: string; userId?: string | undefined } => {
  const words = who.split(' ')
  const hasHost = words.length > 3 && isIP(words[0]!) === 0 && isIP(words[1]!) !== 0
  const host = hasHost ? words.shift()!.replace(/:\d+$/, '') : undefined
  return { host, ip: words[0]!, userId: given(words.slice(2).join(' ')) }
}

/** A line of the common or combined log format, also with the virtual host in front. */
export const combinedRow = (line: string): unknown => {
  const match = LINE.exec(line)
  if (!match)
    return new Fault('', `the line is ${show(line)}; allowed is the common or combined log format, or nginx JSON`)
  const [, who, time, request, status, bytes, referer, userAgent] = match
  return {
    ...parseWho(who!),
    timestamp: logTime(time!),
    ...requestLine(unescape(request!)),
    status: Number(status),
    responseBytes: bytes === '-' ? undefined : Number(bytes),
    referer: given(referer),
    userAgent: given(userAgent),
  }
}
