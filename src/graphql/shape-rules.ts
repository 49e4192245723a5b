import {
  type ASTNode,
  type ASTVisitor,
  GraphQLError,
  Kind,
  type SelectionNode,
  type SelectionSetNode,
  type ValidationContext,
} from 'graphql'

/** Deepest selection; introspection has its own rule in graphql. The deepest example has 5. */
const MAX_DEPTH = 12
const MAX_ALIASES = 100

/**
 * Tokens of a document: GraphiQL's introspection has about 300, the largest example 100. One rule of graphql compares every
 * field with every other of its name, so ten times as many take a hundred times as long.
 */
export const MAX_TOKENS = 2_000

const tooLarge = (message: string, node: ASTNode): GraphQLError =>
  new GraphQLError(message, {
    nodes: [node],
    extensions: { code: 'QUERY_TOO_EXPENSIVE', http: { status: 422, spec: false } },
  })

/** Neither rule looks at variables: their outcome is cached by document. */
export const depthRule = (context: ValidationContext): ASTVisitor => {
  // Each fragment is measured once, however often it is spread: two spreads a fragment would double the work each time.
  const measured = new Map<string, number>()
  const depthOf = (selection: SelectionSetNode | undefined, inside: readonly string[]): number =>
    Math.max(0, ...(selection?.selections ?? []).map((node) => depthOfNode(node, inside)))
  const depthOfNode = (node: SelectionNode, inside: readonly string[]): number => {
    if (node.kind === Kind.FIELD) return node.name.value.startsWith('__') ? 1 : 1 + depthOf(node.selectionSet, inside)
    if (node.kind === Kind.INLINE_FRAGMENT) return depthOf(node.selectionSet, inside)
    const name = node.name.value
    // A circle is reported by another rule.
    if (inside.includes(name)) return 0
    const known = measured.get(name) ?? depthOf(context.getFragment(name)?.selectionSet, [...inside, name])
    measured.set(name, known)
    return known
  }
  return {
    OperationDefinition: (node) => {
      const depth = depthOf(node.selectionSet, [])
      if (depth > MAX_DEPTH)
        context.reportError(tooLarge(`the query is ${depth} levels deep; ${MAX_DEPTH} are allowed`, node))
    },
  }
}

export const aliasRule = (context: ValidationContext): ASTVisitor => {
  let aliases = 0
  return {
    Field: (node) => {
      if (node.alias && ++aliases === MAX_ALIASES + 1)
        context.reportError(tooLarge(`the query has more than ${MAX_ALIASES} aliases; send several queries`, node))
    },
  }
}
