import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import type { Config } from '../config.ts'
import { CliError } from './errors.ts'

const read = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined)

/** What the service that runs on this data folder, if one does, was told by its environment and commands beside it need to know. */
export const readPlace = async ({
  dataDir,
}: Config): Promise<{ trustedProxies?: string[]; detectorsDir?: string | undefined }> =>
  JSON.parse((await read(join(dataDir, 'service.json'))) ?? '{}') as Awaited<ReturnType<typeof readPlace>>

/** The address of the service that runs on this data folder, if one answers. */
export const findService = async (config: Config): Promise<string | undefined> => {
  const place = await read(join(config.dataDir, 'service.json'))
  if (place === undefined) return undefined
  const { url } = JSON.parse(place) as { url: string }
  try {
    const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(2000) })
    return response.ok ? url : undefined
  } catch {
    return undefined
  }
}

/** `--key`, VEDETTE_API_KEY, VEDETTE_ADMIN_KEY, or the admin key of the data folder, in this order. @throws {CliError} */
export const apiKeyFor = async (config: Config, given: string | undefined): Promise<string> => {
  const key =
    given ??
    process.env['VEDETTE_API_KEY'] ??
    config.adminKey ??
    (await read(join(config.dataDir, 'admin-key')))?.trim()
  if (key) return key
  throw new CliError(
    `no API key: give --key, set VEDETTE_API_KEY, or run this where ${join(config.dataDir, 'admin-key')} is`,
    2,
  )
}
