import { stat } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'

import { CliError } from '../errors.ts'
import { linesOf, type LogFile, openLog } from '../import/lines.ts'
import type { Entry } from './entry.ts'

const LOOK_EVERY_MS = 200

/** A file of the log, open, so that it stays the same when it is renamed; and how far it was read. */
interface Opened {
  log: LogFile
  inode: number
  offset: number
}

type Read = (line: string) => Entry | undefined

const unlessAbsent = (error: NodeJS.ErrnoException): undefined => {
  if (error.code === 'ENOENT') return undefined
  throw error.code === 'EACCES'
    ? new CliError(`${error.path} may not be read by this user; run it as the one that the service runs as`, 1, error)
    : error
}

/**
 * The files that are there and were written to since, newest first. In this order a rotation meanwhile shows one twice,
 * which is left out, and none is missed.
 * @param known inode of one that is open already
 */
const openFiles = async (paths: readonly string[], since = 0, known?: number): Promise<Opened[]> => {
  const opened: Opened[] = []
  for (const path of paths) {
    const log = await openLog(path).catch(unlessAbsent)
    if (!log) continue
    const { ino: inode, mtimeMs } = await log.handle.stat()
    if (inode === known || mtimeMs < since || opened.some((other) => other.inode === inode)) await log.handle.close()
    else opened.push({ log, inode, offset: 0 })
  }
  return opened
}

/** What is wanted of the file from where it was read to on, up to its present end. */
async function* entriesOf(file: Opened, read: Read): AsyncGenerator<Entry> {
  // Cut off and begun anew under its name: logrotate's copytruncate.
  if ((await file.log.handle.stat()).size < file.offset) file.offset = 0
  for await (const { bytes, to, unfinished } of linesOf(file.log, file.offset)) {
    if (unfinished) return
    file.offset = to
    for (const line of bytes.toString().split('\n')) {
      const entry = read(line)
      if (entry) yield entry
    }
  }
}

const close = async (files: readonly Opened[]): Promise<void> => {
  await Promise.all(files.map(({ log }) => log.handle.close()))
}

/** The last `count` entries of a file, oldest first. */
const lastOf = async (file: Opened, read: Read, count: number): Promise<Entry[]> => {
  let last: Entry[] = []
  for await (const entry of entriesOf(file, read)) {
    last.push(entry)
    if (last.length >= 2 * count) last = last.slice(-count)
  }
  return last.slice(-count)
}

/**
 * The files of a log: the newest `count` entries, or all where it is infinite, and then, while `following`, each as it is
 * written, through rotation and whether the log is there already or not.
 * @param paths newest first
 * @param since epoch ms; files that were not written to since are not read
 */
export async function* readLog(
  paths: readonly string[],
  { read, count, since, following }: { read: Read; count: number; since?: number; following?: AbortSignal },
): AsyncGenerator<Entry> {
  const files = await openFiles(paths, since)
  let current = files[0]
  try {
    if (count === Infinity) for (const file of files.toReversed()) yield* entriesOf(file, read)
    else yield* await newest(files, read, count)
    await close(files.slice(1))
    const goesOn = () => following?.aborted === false
    while (goesOn()) {
      if (current) yield* entriesOf(current, read)
      current = yield* takeUp(paths, current, read)
      await wait(LOOK_EVERY_MS, undefined, { signal: following }).catch(() => {})
    }
  } finally {
    if (current) await close([current])
  }
}

const newest = async (files: readonly Opened[], read: Read, count: number): Promise<Entry[]> => {
  const found: Entry[][] = []
  let missing = count
  for (const file of files) {
    const last = missing > 0 ? await lastOf(file, read, missing) : []
    // Of a file that is not read, what follows is what is written from now on.
    if (missing <= 0) file.offset = (await file.log.handle.stat()).size
    missing -= last.length
    found.push(last)
  }
  return found.toReversed().flat()
}

/** Goes over to the file that the name leads to now, by way of those that came between. */
async function* takeUp(
  paths: readonly string[],
  current: Opened | undefined,
  read: Read,
): AsyncGenerator<Entry, Opened | undefined> {
  const there = await stat(paths[0]!).catch(unlessAbsent)
  if (!there || there.ino === current?.inode) return current
  // By the time, too: when the file was removed, those that were rotated before are not new.
  const files = await openFiles(paths, (await current?.log.handle.stat())?.mtimeMs, current?.inode)
  if (current) {
    yield* entriesOf(current, read)
    await close([current])
  }
  for (const file of files.toReversed()) yield* entriesOf(file, read)
  await close(files.slice(1))
  return files[0]
}
