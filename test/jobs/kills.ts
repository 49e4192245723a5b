import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'

const CHILD = fileURLToPath(new URL('child.ts', import.meta.url))

export interface Victim {
  /** Resolves when it has begun to work; rejects where there was nothing to do. */
  atWork: Promise<void>
  kill: () => Promise<void>
  /** Exit code; null: it was killed. */
  ended: Promise<number | null>
}

/** A program that prints `at work` once it is at it, and ends with code 0 when nothing is left to do. */
export const startVictim = (script: string, env: Record<string, string>): Victim => {
  const child: ChildProcess = spawn(process.execPath, [script], {
    env: { ...process.env, REDIS_URL: '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit').then(([code]) => code as number | null)
  const lines = createInterface({ input: child.stdout! })
  const atWork = Promise.race([
    once(lines, 'line').then(() => {}),
    ended.then((code) => Promise.reject(new Error(`it ended with ${code} before it began`))),
  ])
  // Whoever does not wait for it learns by `ended`.
  atWork.catch(() => {})
  return {
    atWork,
    ended,
    kill: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}

export const startCounting = (env: Record<string, string>): Victim => startVictim(CHILD, env)

/**
 * Starts it and kills it so many times, each at a random moment of its work, then lets it come to its end.
 * @returns how many were killed before they were done
 */
export const killAtRandom = async (start: () => Victim, { kills, withinMs }: { kills: number; withinMs: number }) => {
  let killed = 0
  for (let kill = 0; kill < kills; kill++) {
    const victim = start()
    await victim.atWork.catch(() => {})
    await sleep(Math.random() * withinMs)
    await victim.kill()
    if ((await victim.ended) === null) killed++
  }
  const code = await start().ended
  if (code !== 0) throw new Error(`the undisturbed run ended with ${code}`)
  return killed
}
