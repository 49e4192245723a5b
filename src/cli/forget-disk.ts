import { createReadStream } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

import { securityLogFiles } from '../securitylog/index.ts'
import { spoolFolder } from '../spool/index.ts'

const LITERAL = /[.]/g

/** The address by itself, not as a part of a longer one. */
const patternOf = (text: string): RegExp =>
  new RegExp(String.raw`(?<![\w.:]|::ffff:)(?:::ffff:)?${text.replaceAll(LITERAL, String.raw`\$&`)}(?![\w:]|\.\d)`, 'i')

const linesWith = async (path: string, pattern: RegExp): Promise<number> => {
  let count = 0
  const lines = createInterface({ input: createReadStream(path, 'latin1'), crlfDelay: Number.POSITIVE_INFINITY })
  try {
    for await (const line of lines) if (pattern.test(line)) count++
  } catch (error) {
    // Inserted, or turned over, in this moment.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  return count
}

/** Rows on their way into ClickHouse, or in quarantine, that hold the address. */
export const rowsInSpool = async (dataDir: string, text: string): Promise<number> => {
  const folder = spoolFolder(dataDir)
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  const pattern = patternOf(text)
  let rows = 0
  for (const entry of entries) {
    if (!entry.isFile() || !/\.(?:segment|tail|damaged)$/.test(entry.name)) continue
    const bytes = await readFile(join(entry.parentPath, entry.name), 'latin1').catch(() => '')
    for (const line of bytes.split('\n')) if (pattern.test(line)) rows++
  }
  return rows
}

/** What a mail says, whatever its parts are encoded in. */
const decoded = (eml: string): string =>
  eml
    .replaceAll(
      /^(content-transfer-encoding: base64\r?\n(?:.+\r?\n)*\r?\n)([\w+/=\r\n]+)/gim,
      (_, head: string, body: string) => `${head}${Buffer.from(body, 'base64').toString('latin1')}\n`,
    )
    .replaceAll(/=\r?\n/g, '')
    .replaceAll(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

/** Mails written to files that name the address, or of IPv6 its /64. */
export const mailsInOutbox = async (
  dataDir: string,
  { text, counted }: { text: string; counted: string },
): Promise<number> => {
  const folder = join(dataDir, 'outbox')
  const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.eml'))
  const patterns = [...new Set([text, counted, counted.replace(/\/64$/, '')])].map(patternOf)
  let mails = 0
  for (const name of names) {
    const mail = decoded(await readFile(join(folder, name), 'latin1').catch(() => ''))
    if (patterns.some((pattern) => pattern.test(mail))) mails++
  }
  return mails
}

/** Lines of the security log that name the address. */
export const linesInSecurityLog = async (dataDir: string, text: string): Promise<number> => {
  const counts = await Promise.all(securityLogFiles(dataDir).map((path) => linesWith(path, patternOf(text))))
  return counts.reduce((sum, count) => sum + count, 0)
}
