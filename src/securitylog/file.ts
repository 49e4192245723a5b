import { type FileHandle, mkdir, open, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/** The names of a log and of what was rotated, newest first: `x.log`, `x.log.1`, …, `x.log.5`. */
export const namesOf = (path: string, keep: number): string[] => [
  path,
  ...Array.from({ length: keep }, (_, place) => `${path}.${place + 1}`),
]

const NEWLINE = 0x0a

const absent = (error: unknown): undefined => {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
  throw error
}

/** Whether the last line has its end: a crash or a full disk may have cut it off. */
const endsWell = async (handle: FileHandle, size: number): Promise<boolean> => {
  if (size === 0) return true
  const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1)
  return buffer[0] === NEWLINE
}

/** @returns how many bytes were written: all, or fewer where the disk is full. @throws {Error} */
const write = async (handle: FileHandle, bytes: Buffer): Promise<number> => {
  let written = 0
  try {
    while (written < bytes.length) written += (await handle.write(bytes, written)).bytesWritten
  } catch (error) {
    if (written === 0) throw error
  }
  return written
}

/**
 * A file of lines that is appended to and rotated by size: `path` becomes `path.1`, and so on; the oldest goes. Commands
 * beside the service write to the same file, so each append goes to whatever `path` is then.
 */
export const createRotatedFile = ({ path, maxBytes, keep }: { path: string; maxBytes: number; keep: number }) => {
  let current: { handle: FileHandle; inode: number } | undefined

  const close = async (): Promise<void> => {
    const closing = current
    current = undefined
    await closing?.handle.close()
  }

  const opened = async (): Promise<FileHandle> => {
    const there = await stat(path).catch(absent)
    if (current && there?.ino === current.inode) return current.handle
    await close()
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    const handle = await open(path, 'a+', 0o600)
    current = { handle, inode: (await handle.stat()).ino }
    return handle
  }

  const rotate = async (): Promise<void> => {
    await close()
    const names = namesOf(path, keep).toReversed()
    for (const [place, older] of names.entries()) {
      const newer = names[place + 1]
      if (newer !== undefined) await rename(newer, older).catch(absent)
    }
  }

  return {
    /** Appends whole lines. @returns how many bytes of them were written. @throws {Error} nothing was written */
    append: async (lines: Buffer): Promise<number> => {
      let handle = await opened()
      let { size } = await handle.stat()
      if (size > 0 && size + lines.length > maxBytes) {
        await rotate()
        handle = await opened()
        size = 0
      }
      if (!(await endsWell(handle, size))) await handle.write('\n')
      return write(handle, lines)
    },
    close,
  }
}
