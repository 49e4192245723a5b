import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'

import type { Rendered, Renderer, Report } from '../types.ts'
import type { RendererDependencies } from './render.ts'

/** For the thread: what is to be rendered. */
export interface Task {
  id: number
  kind: keyof Renderer
  report: Report
  options: { publicUrl: string; unsubscribeUrl?: string }
  attributions: readonly string[]
}

export type Answer = { id: number; result: unknown } | { id: number; error: unknown }

export interface RendererAside extends Renderer {
  stop: () => Promise<void>
}

/** With the libraries loaded the thread holds some 100 MB, which nobody needs between two reports. */
const IDLE_MS = 60_000

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Buffers come out of a thread as plain bytes. */
const asRendered = (rendered: Rendered): Rendered => ({
  ...rendered,
  images: rendered.images.map((image) => ({ ...image, png: asBuffer(image.png) })),
})

/**
 * As `createRenderer`, in a thread of its own: a mail keeps a processor busy for a second or so, and the collector must not wait for it.
 * The thread is started when there is something to render and ends a minute after the last. @throws {Error} it ended at work
 */
export const createRendererAside = ({ attributions = () => [] }: RendererDependencies = {}): RendererAside => {
  const waiting = new Map<number, PromiseWithResolvers<unknown>>()
  let thread: Worker | undefined
  let idle: NodeJS.Timeout | undefined
  let last = 0

  const end = async (): Promise<void> => {
    clearTimeout(idle)
    const ending = thread
    thread = undefined
    await ending?.terminate()
  }

  const open = (): Worker => {
    const opened = new Worker(new URL(`./thread${extname(import.meta.url)}`, import.meta.url))
    const lost = (error: Error): void => {
      if (thread !== opened) return
      thread = undefined
      for (const [id, { reject }] of waiting) {
        waiting.delete(id)
        reject(error)
      }
    }
    opened.on('message', (answer: Answer) => {
      const asked = waiting.get(answer.id)
      waiting.delete(answer.id)
      if (waiting.size === 0) {
        opened.unref()
        idle = setTimeout(() => void end(), IDLE_MS).unref()
      }
      if ('error' in answer) asked?.reject(answer.error)
      else asked?.resolve(answer.result)
    })
    opened.on('error', lost)
    opened.on('exit', (code) => lost(new Error(`the thread that renders reports ended with ${code}`)))
    return opened
  }

  const ask = async <T>(kind: keyof Renderer, report: Report, options: Task['options']): Promise<T> => {
    clearTimeout(idle)
    thread ??= open()
    const id = last++
    thread.postMessage({ id, kind, report, options, attributions: attributions() } satisfies Task)
    thread.ref()
    const asked = Promise.withResolvers<unknown>()
    waiting.set(id, asked)
    return (await asked.promise) as T
  }

  return {
    mail: async (report, options) => asRendered(await ask<Rendered>('mail', report, options)),
    page: (report, options) => ask('page', report, options),
    pdf: async (report, options) => asBuffer(await ask<Uint8Array>('pdf', report, options)),
    stop: async () => {
      for (const { reject } of waiting.values()) reject(new Error('the service stops'))
      waiting.clear()
      await end()
    },
  }
}
