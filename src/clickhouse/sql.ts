/**
 * A statement and its parameters. Values travel beside the text as `{name:Type}` parameters, never in it; only fragments
 * made by `sql` and identifiers that pass a strict pattern become text.
 */
export class Sql {
  readonly parts: readonly string[]
  readonly values: readonly (Sql | Parameter)[]

  constructor(parts: readonly string[], values: readonly (Sql | Parameter)[]) {
    this.parts = parts
    this.values = values
  }

  /** The text with `{pN:Type}` in place of values, and the values by name as ClickHouse reads them. */
  compile(): { text: string; parameters: Record<string, unknown> } {
    const parameters: Record<string, unknown> = {}
    let next = 0
    const walk = (sql: Sql): string =>
      sql.parts.reduce((text, part, index) => {
        const value = sql.values[index - 1]
        if (value instanceof Sql) return text + walk(value) + part
        if (!value) return text + part
        const name = value.name ?? `p${next++}`
        parameters[name] = value.value
        return `${text}{${name}:${value.type}}${part}`
      })
    return { text: walk(this), parameters }
  }
}

interface Parameter {
  type: string
  value: unknown
  name?: string
}

type Value = string | number | boolean | bigint | Date | readonly string[] | Sql | Parameter

const parameterOf = (value: Exclude<Value, Sql>): Parameter => {
  switch (typeof value) {
    case 'string':
      return { type: 'String', value }
    case 'number':
      return { type: Number.isInteger(value) ? 'Int64' : 'Float64', value }
    case 'bigint':
      return { type: 'UInt64', value: value.toString() }
    case 'boolean':
      return { type: 'Bool', value }
    default:
      if (value instanceof Date)
        return { type: "DateTime64(3, 'UTC')", value: value.toISOString().slice(0, -1).replace('T', ' ') }
      if (Array.isArray(value)) return { type: 'Array(String)', value }
      return value as Parameter
  }
}

/** A statement or a fragment of one: `` sql`SELECT … WHERE service = ${service} AND ${condition}` ``. */
export const sql = (parts: TemplateStringsArray, ...values: Value[]): Sql =>
  new Sql(
    parts,
    values.map((value) => (value instanceof Sql ? value : parameterOf(value))),
  )

/** A value with its ClickHouse type said out loud, such as `param('IPv6', address)`. */
export const param = (type: string, value: unknown): Parameter => ({ type, value })

/** An identifier as text: letters, digits and `_` only. @throws {TypeError} */
export const ident = (name: string): Sql => {
  if (!/^[A-Za-z_]\w*$/.test(name)) throw new TypeError(`not an identifier: ${JSON.stringify(name)}`)
  return new Sql([`\`${name}\``], [])
}

/** Text of our own files (migrations, detectors) as a fragment. Never a caller's text. */
export const raw = (text: string): Sql => new Sql([text], [])

/** Fragments with a separator between them. */
export const join = (fragments: readonly Sql[], separator = ', '): Sql =>
  fragments.length === 0 ? new Sql([''], []) : new Sql(['', ...fragments.slice(1).map(() => separator), ''], fragments)
