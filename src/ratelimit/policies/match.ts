import { normalisePath } from './normalise.ts'
import { parsePattern } from './pattern.ts'
import { bySpecificity } from './precedence.ts'
import { createServiceTest } from './service-pattern.ts'
import type { Policy, Target } from './types.ts'

/** A place in the tree of segments; each list is sorted, most specific first. */
interface Node {
  literals: Map<string, Node>
  /** Below any one segment. */
  one: Node | undefined
  /** Patterns that end here. */
  end: Policy[]
  /** Patterns that fit whatever follows. */
  rest: Policy[]
}

/** The policies of one `service` pattern. */
interface Tree {
  fits: (service: string) => boolean
  root: Node
}

/** Names of services can be strangers' (a Host header): what is remembered of them is bounded. */
const MOST_SERVICES = 10_000
const LONGEST_SERVICE = 200

const newNode = (): Node => ({ literals: new Map(), one: undefined, end: [], rest: [] })

const below = (node: Node, segment: string | null): Node => {
  const known = segment === null ? node.one : node.literals.get(segment)
  if (known) return known
  const made = newNode()
  if (segment === null) node.one = made
  else node.literals.set(segment, made)
  return made
}

const plant = (root: Node, policy: Policy): void => {
  const { segments, rest } = parsePattern(policy.pathPattern)
  let node = root
  for (const segment of segments) node = below(node, segment)
  ;(rest ? node.rest : node.end).push(policy)
}

const firstFor = (policies: readonly Policy[], method: string): Policy | undefined => {
  for (const policy of policies) if (policy.methods.length === 0 || policy.methods.includes(method)) return policy
  return undefined
}

/** @param from where the next segment begins; past the end: there is none */
const find = (node: Node, path: string, from: number, method: string): Policy | undefined => {
  if (from >= path.length) return firstFor(node.end, method) ?? firstFor(node.rest, method)
  const { literals, one } = node
  if (literals.size > 0 || one) {
    const slash = path.indexOf('/', from)
    const end = slash < 0 ? path.length : slash
    const literal = literals.size > 0 ? literals.get(path.slice(from, end)) : undefined
    const found = literal && find(literal, path, end + 1, method)
    if (found) return found
    const other = one && find(one, path, end + 1, method)
    if (other) return other
  }
  return firstFor(node.rest, method)
}

/**
 * Compiles policies into what finds the most specific one for a target, by the order of `bySpecificity`. It never throws,
 * and looks at as many segments of the path as the longest pattern has.
 */
export const createMatch = (policies: readonly Policy[]): ((target: Target) => Policy | undefined) => {
  const trees = new Map<string, Tree>()
  for (const policy of bySpecificity(policies)) {
    const tree = trees.get(policy.service) ?? { fits: createServiceTest(policy.service), root: newNode() }
    trees.set(policy.service, tree)
    plant(tree.root, policy)
  }
  const inOrder = [...trees.values()]
  const rootsOf = new Map<string, readonly Node[]>()

  const rootsFor = (service: string): readonly Node[] => {
    const known = rootsOf.get(service)
    if (known) return known
    const roots = inOrder.filter(({ fits }) => fits(service)).map(({ root }) => root)
    if (service.length > LONGEST_SERVICE) return roots
    if (rootsOf.size >= MOST_SERVICES) rootsOf.clear()
    rootsOf.set(service, roots)
    return roots
  }

  return ({ service, method, path }) => {
    const normal = normalisePath(path)
    for (const root of rootsFor(service)) {
      const found = find(root, normal, 1, method)
      if (found) return found
    }
    return undefined
  }
}
