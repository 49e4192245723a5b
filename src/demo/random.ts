import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'

/** A stream of chance that depends on its seed only. */
export interface Random {
  /** From 0 up to, not including, 1. */
  float(): number
  /** A whole number from `low` to `high`, both included. */
  int(low: number, high: number): number
  chance(probability: number): boolean
  pick<T>(items: readonly T[]): T
  /** One of the items, each as likely as its weight says. */
  weighted<T>(items: readonly (readonly [T, number])[]): T
  /** Long-tailed and positive; half of the values lie below `median`. A `sigma` of 0.5 puts p99 at 3 × the median. */
  logNormal(median: number, sigma: number): number
  /** Waiting time until the next of many independent events. */
  exponential(mean: number): number
  /** Lower-case hexadecimal digits. */
  hex(length: number): string
  shuffle<T>(items: readonly T[]): T[]
  /** A stream of its own by name, so that one part of a day can change without moving the others. */
  fork(name: string): Random
}

/**
 * Turns a name into 32 bits: FNV-1a, then MurmurHash3's finish. The generator takes its seed as it comes, so that without
 * the finish names as like as "person/1" and "person/2" would begin with like numbers.
 */
const hash = (text: string): number => {
  let value = 0x811c9dc5
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return (value ^ (value >>> 16)) >>> 0
}

export const createRandom = (seed: string): Random => {
  const generator = xoroshiro128plus(hash(seed))
  // Half of its state begins as zeros or ones; it is mixed after a few turns.
  for (let i = 0; i < 8; i++) generator.next()
  const float = (): number => (generator.next() >>> 0) / 2 ** 32
  const int = (low: number, high: number): number => low + Math.floor(float() * (high - low + 1))

  const logNormal = (median: number, sigma: number): number => {
    // Box and Muller's way to a normal deviate.
    const normal = Math.sqrt(-2 * Math.log(1 - float())) * Math.cos(2 * Math.PI * float())
    return median * Math.exp(sigma * normal)
  }

  const weighted = <T>(items: readonly (readonly [T, number])[]): T => {
    let total = 0
    for (const item of items) total += item[1]
    let left = float() * total
    for (const item of items) {
      left -= item[1]
      if (left < 0) return item[0]
    }
    return items.at(-1)![0]
  }

  const shuffle = <T>(items: readonly T[]): T[] => {
    const copy = [...items]
    for (let i = copy.length - 1; i > 0; i--) {
      const j = int(0, i)
      ;[copy[i], copy[j]] = [copy[j]!, copy[i]!]
    }
    return copy
  }

  return {
    float,
    int,
    chance: (probability) => float() < probability,
    pick: (items) => items[Math.floor(float() * items.length)]!,
    weighted,
    logNormal,
    exponential: (mean) => -mean * Math.log(1 - float()),
    hex: (length) => Array.from({ length }, () => int(0, 15).toString(16)).join(''),
    shuffle,
    fork: (name) => createRandom(`${seed}/${name}`),
  }
}
