import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

/** The files of this version. */
export const ROLLUPS = fileURLToPath(new URL('../../clickhouse/rollups/', import.meta.url))
const REQUESTS = fileURLToPath(new URL('../../clickhouse/requests.sql', import.meta.url))

const WINDOWS: Record<string, number> = { '1h': 3_600, '1d': 86_400 }

/** One file: a SELECT that fills one table. */
export interface Rollup {
  /** The file's name without `.sql`. */
  name: string
  table: string
  windowSeconds: number
  /** With the requests of the window, where it names them, as a CTE in front. */
  select: string
}

const parse = (name: string, text: string, requests: string): Rollup => {
  const header = (key: string): string | undefined => new RegExp(`^-- ${key}: (\\S+)$`, 'm').exec(text)?.[1]
  const [table, window] = [header('table'), header('window') ?? '']
  if (!table || !/^\w+$/.test(table))
    throw new TypeError(`roll-up ${name}.sql names no table; give it "-- table: NAME"`)
  const windowSeconds = WINDOWS[window]
  if (!windowSeconds)
    throw new TypeError(
      `roll-up ${name}.sql has the window ${JSON.stringify(window)}; allowed is "-- window: 1h" or "-- window: 1d"`,
    )
  const select = /\bFROM requests\b/.test(text) ? `WITH requests AS (\n${requests}\n)\n${text}` : text
  return { name, table, windowSeconds, select }
}

/** In the order of their names. @throws {TypeError} a file whose header does not do */
export const readRollups = async (folder = ROLLUPS): Promise<Rollup[]> => {
  const requests = await readFile(REQUESTS, 'utf8')
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort()
  return Promise.all(
    names.map(async (name) =>
      parse(name.slice(0, -'.sql'.length), await readFile(`${folder}/${name}`, 'utf8'), requests),
    ),
  )
}
