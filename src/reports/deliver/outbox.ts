import { randomUUID } from 'node:crypto'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import type { Message } from './message.ts'

/** Writes mails as files where there is no mail server; each appears whole or not at all, and once more takes its own place. */
export const createOutbox =
  (folder: string) =>
  async (id: string, { bytes }: Message): Promise<string> => {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const path = join(folder, `${id}.eml`)
    const draft = join(folder, `.${id}.${randomUUID()}`)
    try {
      await writeFile(draft, bytes, { mode: 0o600, flag: 'wx', flush: true })
      await rename(draft, path)
    } finally {
      await rm(draft, { force: true })
    }
    return path
  }
