import { type Document, isMap, isNode, LineCounter, parseDocument } from 'yaml'

import { ConfigError } from '../../config.ts'
import { StoreError } from '../../store/index.ts'
import { checkPolicy, POLICY_FIELDS, show } from './check.ts'
import type { PolicyValues } from './types.ts'

/** A policy of the file; all of it is known. */
export interface FilePolicy extends PolicyValues {
  id: string
}

export const MOST_POLICIES = 500
const FIELDS: readonly string[] = ['id', ...POLICY_FIELDS]
const ID = /^[a-z\d][\w.-]{0,63}$/i
/** How ids of other things begin: API keys, block list entries and request logs. */
const TAKEN = /^(?:key|blk|log)_/

type Path = readonly (string | number)[]

/** `policies[2].limit` */
const nameOf = (path: Path): string =>
  path.map((part, index) => (typeof part === 'number' ? `[${part}]` : index === 0 ? part : `.${part}`)).join('')

/** The line that a path stands on, or its nearest parent's where it is not in the text. */
const lineOf = (document: Document, lines: LineCounter, path: Path): number => {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true)
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line
  }
  return 1
}

/**
 * Reads what POLICY_FILE holds, YAML or JSON: `policies: [{ id, name, … }]`.
 * @param source how the file is called in messages
 * @throws {ConfigError} the first thing that does not fit, with its name, line, what was given and what is allowed
 */
export const parsePolicyFile = (text: string, source: string): FilePolicy[] => {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines })
  const fail = (line: number, reason: string): never => {
    throw new ConfigError(`${source}, line ${line}: ${reason}`)
  }
  const refuse = (path: Path, reason: string): never => fail(lineOf(document, lines, path), reason)

  const [fault] = document.errors
  if (fault) {
    const hint = fault.code === 'BAD_ALIAS' ? "; a * by itself goes into quotes: '*'" : ''
    fail(fault.linePos?.[0].line ?? 1, `not YAML: ${fault.message.split('\n', 1)[0]!.replace(/:$/, '')}${hint}`)
  }
  const form = 'policies: [{ id: …, limit: …, windowSeconds: … }]; for none write policies: []'
  if (!isMap(document.contents)) fail(1, `the file must hold ${form}`)
  let whole: Record<string, unknown>
  try {
    // Aliases are resolved here, and a bomb of them is refused.
    whole = document.toJS() as Record<string, unknown>
  } catch (error) {
    return fail(1, `not YAML: ${(error as Error).message}`)
  }
  for (const field of Object.keys(whole))
    if (field !== 'policies') refuse([field], `${field} is unknown; allowed is policies alone`)
  const given = whole['policies']
  if (!Array.isArray(given))
    return refuse(['policies'], `policies is ${given === undefined ? 'missing' : 'not a list'}; allowed is ${form}`)
  if (given.length > MOST_POLICIES)
    return refuse(['policies'], `policies has ${given.length} entries; allowed are ${MOST_POLICIES}`)

  const placeOf = new Map<string, number>()
  return given.map((policy: unknown, index): FilePolicy => {
    const at = (field: string): Path => ['policies', index, field]
    if (typeof policy !== 'object' || policy === null || Array.isArray(policy))
      return refuse(['policies', index], `policies[${index}] is ${show(policy)}; allowed is { id: …, limit: …, … }`)
    const { id, ...values } = policy as Record<string, unknown>
    for (const field of Object.keys(policy))
      if (!FIELDS.includes(field))
        refuse(at(field), `${nameOf(at(field))} is unknown; allowed are ${FIELDS.join(', ')}`)
    if (typeof id !== 'string' || !ID.test(id) || TAKEN.test(id))
      return refuse(
        at('id'),
        `${nameOf(at('id'))} is ${id === undefined ? 'missing' : show(id)}; allowed are 1 to 64 letters, digits, _ . and -, the first a letter or digit, not beginning with key_, blk_ or log_`,
      )
    const before = placeOf.get(id)
    if (before !== undefined)
      refuse(
        at('id'),
        `${nameOf(at('id'))} is ${JSON.stringify(id)}, and so is policies[${before}].id; ids must differ`,
      )
    placeOf.set(id, index)
    try {
      return { id, ...checkPolicy({ name: id, ...values }) }
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      return refuse(at(error.field ?? 'id'), `${nameOf(['policies', index])}.${error.message}`)
    }
  })
}
