import {
  type ExecutionArgs,
  type FieldNode,
  type FragmentDefinitionNode,
  getArgumentValues,
  getDirectiveValues,
  getNamedType,
  getOperationAST,
  getVariableValues,
  GraphQLIncludeDirective,
  type GraphQLObjectType,
  type GraphQLResolveInfo,
  GraphQLSkipDirective,
  isObjectType,
  Kind,
  type SelectionNode,
  type SelectionSetNode,
} from 'graphql'

/** What is needed to follow fragments and directives. */
export interface Document {
  fragments: Record<string, FragmentDefinitionNode>
  variableValues: Record<string, unknown>
}

const isIncluded = (node: SelectionNode, { variableValues }: Document): boolean =>
  getDirectiveValues(GraphQLSkipDirective, node, variableValues)?.['if'] !== true &&
  getDirectiveValues(GraphQLIncludeDirective, node, variableValues)?.['if'] !== false

/**
 * The fields of a selection in their order, through fragments, each of which counts once; those that directives leave out
 * are left out.
 */
export const fieldsOf = (
  selection: SelectionSetNode | undefined,
  document: Document,
  fits: (typeCondition: string) => boolean = () => true,
  visited = new Set<string>(),
): FieldNode[] =>
  (selection?.selections ?? []).flatMap((node): FieldNode[] => {
    if (!isIncluded(node, document)) return []
    if (node.kind === Kind.FIELD) return [node]
    if (node.kind === Kind.FRAGMENT_SPREAD) {
      if (visited.has(node.name.value)) return []
      visited.add(node.name.value)
    }
    const fragment = node.kind === Kind.FRAGMENT_SPREAD ? document.fragments[node.name.value] : node
    const condition = fragment?.typeCondition?.name.value
    return fragment && (condition === undefined || fits(condition))
      ? fieldsOf(fragment.selectionSet, document, fits, visited)
      : []
  })

/** The operation that runs: its root fields, and what is needed to go below them. */
export interface Operation {
  fields: FieldNode[]
  document: Document
}

/** Undefined where the name or the variables do not fit; then nothing runs. */
export const operationOf = ({
  schema,
  document,
  operationName,
  variableValues,
}: Pick<ExecutionArgs, 'schema' | 'document' | 'operationName' | 'variableValues'>): Operation | undefined => {
  const operation = getOperationAST(document, operationName)
  const coerced =
    operation && getVariableValues(schema, operation.variableDefinitions ?? [], variableValues ?? {}).coerced
  if (!coerced) return undefined
  const definitions = document.definitions.filter((node) => node.kind === Kind.FRAGMENT_DEFINITION)
  const fragments = Object.fromEntries(definitions.map((node) => [node.name.value, node]))
  const known: Document = { fragments, variableValues: coerced }
  return { fields: fieldsOf(operation.selectionSet, known), document: known }
}

/** A field that is asked for: its arguments, and what is asked for below it. */
export interface Selected {
  name: string
  args: Record<string, unknown>
  below: Selected[]
}

const selectedIn = (type: GraphQLObjectType, nodes: readonly FieldNode[], document: Document): Selected[] => {
  const isOf = (name: string) => name === type.name || type.getInterfaces().some((face) => face.name === name)
  return nodes
    .flatMap((node) => fieldsOf(node.selectionSet, document, isOf))
    .flatMap((node) => {
      const field = type.getFields()[node.name.value]
      if (!field) return []
      const inner = getNamedType(field.type)
      return [
        {
          name: node.name.value,
          args: getArgumentValues(field, node, document.variableValues),
          below: isObjectType(inner) ? selectedIn(inner, [node], document) : [],
        },
      ]
    })
}

/** What is asked for below the field that is being resolved, so that only that is computed. */
export const selectionOf = (info: GraphQLResolveInfo, type?: GraphQLObjectType): Selected[] => {
  const own = type ?? getNamedType(info.returnType)
  return isObjectType(own) ? selectedIn(own, info.fieldNodes, info) : []
}

/** All that is selected under fields of this name; undefined where there is none. */
export const below = (selected: readonly Selected[], name: string): Selected[] | undefined => {
  const found = selected.filter((field) => field.name === name)
  return found.length > 0 ? found.flatMap((field) => field.below) : undefined
}
