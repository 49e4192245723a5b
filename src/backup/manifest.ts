import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { BackupError, type Manifest } from './types.ts'

export const MANIFEST = 'manifest.json'

/** Of this Vedette. */
export const ownVersion = (): string => {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}

const majorOf = (version: string): string => version.split('.')[0]!

/** Undefined: nothing that any version wrote. */
const parse = (text: string): Manifest | undefined => {
  try {
    const manifest = JSON.parse(text) as Partial<Manifest> | null
    return typeof manifest?.version === 'string' && manifest.files ? (manifest as Manifest) : undefined
  } catch {
    return undefined
  }
}

/** @throws {BackupError} the folder holds no back-up, or one that this version cannot read */
export const readManifest = async (folder: string, version: string = ownVersion()): Promise<Manifest> => {
  const text = await readFile(join(folder, MANIFEST), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error
    throw new BackupError(`${folder} holds no ${MANIFEST}, so it is no whole back-up; choose another folder`)
  })
  const manifest = parse(text)
  if (!manifest) throw new BackupError(`${folder}/${MANIFEST} is damaged; choose another back-up`)
  if (manifest.format !== 1 || majorOf(manifest.version) !== majorOf(version))
    throw new BackupError(
      `${folder} was written by Vedette ${manifest.version}, and this is ${version}; restore it with a version ${majorOf(manifest.version)}, then update`,
    )
  // What it names is looked for in this folder and nowhere else.
  const strange = manifest.files.find(({ name, table }) => !/^[\w.-]+$/.test(name) || !/^\w+$/.test(table))
  if (strange)
    throw new BackupError(`${folder}/${MANIFEST} names ${JSON.stringify(strange.name)}, which is no file of a back-up`)
  return manifest
}
