import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

const kept = (...names: readonly string[]): Record<string, string | undefined> =>
  Object.fromEntries(names.map((name) => [name, process.env[name]]))

/** The command line as a user starts it, with these settings and none of the test run's own. */
export const spawnVedette = (args: readonly string[], environment: Record<string, string>): ChildProcess =>
  spawn(process.execPath, [MAIN, ...args], {
    env: { ...kept('PATH', 'HOME', 'NODE_COMPILE_CACHE'), ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })

export interface Outcome {
  exitCode: number | null
  stdout: string
  stderr: string
}

export const vedette = async (args: readonly string[], environment: Record<string, string>): Promise<Outcome> => {
  const child = spawnVedette(args, environment)
  const [stdout, stderr, [exitCode]] = await Promise.all([
    text(child.stdout!),
    text(child.stderr!),
    once(child, 'close'),
  ])
  return { exitCode: exitCode as number | null, stdout, stderr }
}
