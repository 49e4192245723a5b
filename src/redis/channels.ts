import type { Log } from './connections.ts'

type Listener = (message: unknown) => void

/** Who listens to what in this process. */
export interface Channels {
  /** @returns whether it is the first listener of its channel */
  add: (channel: string, listener: Listener) => boolean
  /** @returns whether it was the last listener of its channel */
  remove: (channel: string, listener: Listener) => boolean
  /** The text of a message as it came over the wire. */
  deliver: (channel: string, text: string) => void
  names: () => string[]
}

export const createChannels = (log: Log): Channels => {
  const listeners = new Map<string, Set<Listener>>()
  return {
    add: (channel, listener) => {
      const all = listeners.get(channel)
      if (all) all.add(listener)
      else listeners.set(channel, new Set([listener]))
      return !all
    },
    remove: (channel, listener) => {
      const all = listeners.get(channel)
      if (!all?.delete(listener) || all.size > 0) return false
      return listeners.delete(channel)
    },
    deliver: (channel, text) => {
      try {
        const message: unknown = JSON.parse(text)
        for (const listener of listeners.get(channel) ?? []) listener(message)
      } catch (error) {
        // One listener's fault, or a stranger's message, must not reach the connection.
        log.error({ channel, err: error }, 'a message could not be handled')
      }
    },
    names: () => [...listeners.keys()],
  }
}
