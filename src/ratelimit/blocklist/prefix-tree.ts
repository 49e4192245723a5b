import type { Address, Prefix } from '../address.ts'

/**
 * Prefixes and a value for each, in a path-compressed binary tree (Patricia). IPv4 has a root of its own: an IPv4 address
 * never matches a shorter prefix than ::ffff:0:0/96, as `isWithin` says.
 */
export interface PrefixTree<T> {
  readonly size: number
  /** Replaces what is there. @returns the slot of the value, the same until the prefix is deleted; small numbers */
  set: (prefix: Prefix, value: T) => number
  /** Of this very prefix. */
  get: (prefix: Prefix) => T | undefined
  delete: (prefix: Prefix) => boolean
  /**
   * Puts the slots of all prefixes that hold the address into `into`, shortest prefix first, and returns how many. What lies
   * in `into` behind them is left over from before: nothing is allocated, and no value touched, since this is asked for every
   * request.
   */
  matches: (address: Address, into: number[]) => number
  at: (slot: number) => T
  /**
   * Every prefix within `within` (default: all), a prefix before those inside it, by address, IPv4 first. `visit` answers
   * false to pass over those inside.
   */
  walk: (visit: (value: T) => boolean | void, within?: Prefix) => void
}

/**
 * A node is eight words side by side, half a line of the processor's cache, since a lookup among 100,000 prefixes goes
 * through some 17 nodes and waits for memory most of the time: the prefix's four words, its bits, two children, its value.
 * 0 is no node and no value.
 */
const STRIDE = 8
const BITS = 4
const CHILD = 5
const VALUE = 7

const IPV4_BITS = 96

const isV4 = ({ address, bits }: Prefix): boolean => address.isV4 && bits >= IPV4_BITS

const maskOf = (bits: number): number => (bits <= 0 ? 0 : bits >= 32 ? -1 : -1 << (32 - bits))

const wordOf = ({ w0, w1, w2, w3 }: Address, bit: number): number =>
  bit < 64 ? (bit < 32 ? w0 : w1) : bit < 96 ? w2 : w3

const bitOf = (address: Address, bit: number): 0 | 1 => ((wordOf(address, bit) >>> (31 - (bit & 31))) & 1) as 0 | 1

export const createPrefixTree = <T>(): PrefixTree<T> => {
  let nodes = new Int32Array(1_024 * STRIDE)
  let nextNode = 1
  /** Nodes to use again, chained by their first child. */
  let freeNode = 0
  const values: (T | undefined)[] = [undefined]
  const freeValues: number[] = []
  let root4 = 0
  let root6 = 0
  let size = 0

  const newNode = (address: Address, bits: number): number => {
    let node = freeNode
    if (node !== 0) freeNode = nodes[node * STRIDE + CHILD]!
    else {
      if (nextNode * STRIDE === nodes.length) {
        const larger = new Int32Array(nodes.length * 2)
        larger.set(nodes)
        nodes = larger
      }
      node = nextNode++
    }
    const at = node * STRIDE
    nodes[at] = address.w0 & maskOf(bits)
    nodes[at + 1] = address.w1 & maskOf(bits - 32)
    nodes[at + 2] = address.w2 & maskOf(bits - 64)
    nodes[at + 3] = address.w3 & maskOf(bits - 96)
    nodes[at + BITS] = bits
    nodes[at + CHILD] = 0
    nodes[at + CHILD + 1] = 0
    nodes[at + VALUE] = 0
    return node
  }

  const newValue = (value: T): number => {
    const index = freeValues.pop() ?? values.length
    values[index] = value
    return index
  }

  /** How many leading bits the address has in common with the node's prefix, at most the node's. */
  const common = ({ w0, w1, w2, w3 }: Address, node: number): number => {
    const at = node * STRIDE
    const bits = nodes[at + BITS]!
    const d0 = w0 ^ nodes[at]!
    if (d0 !== 0) return Math.min(bits, Math.clz32(d0))
    const d1 = w1 ^ nodes[at + 1]!
    if (d1 !== 0) return Math.min(bits, 32 + Math.clz32(d1))
    const d2 = w2 ^ nodes[at + 2]!
    if (d2 !== 0) return Math.min(bits, 64 + Math.clz32(d2))
    return Math.min(bits, 96 + Math.clz32(w3 ^ nodes[at + 3]!))
  }

  const rootOf = (prefix: Prefix): number => (isV4(prefix) ? root4 : root6)

  /** Hangs `node` where `parent` had its child on this side; 0: at the root. */
  const hang = (prefix: Prefix, parent: number, side: 0 | 1, node: number): void => {
    if (parent !== 0) nodes[parent * STRIDE + CHILD + side] = node
    else if (isV4(prefix)) root4 = node
    else root6 = node
  }

  const set = (prefix: Prefix, value: T): number => {
    const { address, bits } = prefix
    let parent = 0
    let side: 0 | 1 = 0
    let node = rootOf(prefix)
    while (node !== 0) {
      const shared = Math.min(bits, common(address, node))
      const ownBits = nodes[node * STRIDE + BITS]!
      if (shared < ownBits) {
        // The two part above the node: there a new one comes in between.
        const between = newNode(address, shared)
        const sideOfOld = ((nodes[node * STRIDE + (shared >>> 5)]! >>> (31 - (shared & 31))) & 1) as 0 | 1
        nodes[between * STRIDE + CHILD + sideOfOld] = node
        hang(prefix, parent, side, between)
        node = between
        continue
      }
      if (ownBits === bits) break
      parent = node
      side = bitOf(address, ownBits)
      node = nodes[node * STRIDE + CHILD + side]!
    }
    if (node === 0) {
      node = newNode(address, bits)
      hang(prefix, parent, side, node)
    }
    const known = nodes[node * STRIDE + VALUE]!
    if (known !== 0) {
      values[known] = value
      return known
    }
    const slot = newValue(value)
    nodes[node * STRIDE + VALUE] = slot
    size++
    return slot
  }

  /** The node of this very prefix, with the two above it. */
  const find = (prefix: Prefix): { node: number; parent: number; above: number } => {
    const { address, bits } = prefix
    let above = 0
    let parent = 0
    let node = rootOf(prefix)
    while (node !== 0) {
      const ownBits = nodes[node * STRIDE + BITS]!
      if (ownBits > bits || common(address, node) < ownBits) return { node: 0, parent, above }
      if (ownBits === bits) break
      above = parent
      parent = node
      node = nodes[node * STRIDE + CHILD + bitOf(address, ownBits)]!
    }
    return { node, parent, above }
  }

  const sideBelow = (address: Address, parent: number): 0 | 1 =>
    parent === 0 ? 0 : bitOf(address, nodes[parent * STRIDE + BITS]!)

  /** Takes out a node that has no value and one child at most. @returns whether it did */
  const prune = (prefix: Prefix, node: number, parent: number): boolean => {
    const at = node * STRIDE
    const [left, right] = [nodes[at + CHILD]!, nodes[at + CHILD + 1]!]
    if (nodes[at + VALUE] !== 0 || (left !== 0 && right !== 0)) return false
    hang(prefix, parent, sideBelow(prefix.address, parent), left === 0 ? right : left)
    nodes[at + CHILD] = freeNode
    freeNode = node
    return true
  }

  return {
    get size() {
      return size
    },
    set,
    get: (prefix) => {
      const { node } = find(prefix)
      return node === 0 ? undefined : values[nodes[node * STRIDE + VALUE]!]
    },
    delete: (prefix) => {
      const { node, parent, above } = find(prefix)
      const value = nodes[node * STRIDE + VALUE]!
      if (node === 0 || value === 0) return false
      values[value] = undefined
      freeValues.push(value)
      nodes[node * STRIDE + VALUE] = 0
      size--
      // A parent without a value was there to part two ways, and now one of them may be gone.
      if (prune(prefix, node, parent) && parent !== 0) prune(prefix, parent, above)
      return true
    },
    matches: (address, into) => {
      const { w0, w1, w2, w3 } = address
      let count = 0
      let node = address.isV4 ? root4 : root6
      while (node !== 0) {
        const at = node * STRIDE
        const bits = nodes[at + BITS]!
        if (
          ((w0 ^ nodes[at]!) & maskOf(bits)) !== 0 ||
          ((w1 ^ nodes[at + 1]!) & maskOf(bits - 32)) !== 0 ||
          ((w2 ^ nodes[at + 2]!) & maskOf(bits - 64)) !== 0 ||
          ((w3 ^ nodes[at + 3]!) & maskOf(bits - 96)) !== 0
        )
          return count
        const value = nodes[at + VALUE]!
        if (value !== 0) into[count++] = value
        if (bits === 128) return count
        node = nodes[at + CHILD + bitOf(address, bits)]!
      }
      return count
    },
    at: (slot) => values[slot]!,
    walk: (visit, within) => {
      const down = (node: number): void => {
        if (node === 0) return
        const at = node * STRIDE
        const value = nodes[at + VALUE]!
        if (value !== 0 && visit(values[value]!) === false) return
        down(nodes[at + CHILD]!)
        down(nodes[at + CHILD + 1]!)
      }
      if (!within) {
        down(root4)
        down(root6)
        return
      }
      let node = rootOf(within)
      while (node !== 0 && nodes[node * STRIDE + BITS]! < within.bits) {
        if (common(within.address, node) < nodes[node * STRIDE + BITS]!) return
        node = nodes[node * STRIDE + CHILD + bitOf(within.address, nodes[node * STRIDE + BITS]!)]!
      }
      if (node !== 0 && common(within.address, node) >= within.bits) down(node)
    },
  }
}
