import { param, Sql } from './sql.ts'

const PLACEHOLDER = /\{(\w+):([^{}]+)\}/

/**
 * Text of a file of ours as a fragment: each `{name:Type}` takes the value of that name.
 * @throws {TypeError} a name without a value
 */
export const bind = (text: string, values: Readonly<Record<string, unknown>>): Sql => {
  const parts = text.split(new RegExp(PLACEHOLDER, 'g'))
  const texts: string[] = []
  const parameters: ReturnType<typeof param>[] = []
  for (let index = 0; index < parts.length; index += 3) {
    texts.push(parts[index]!)
    const [name, type] = [parts[index + 1], parts[index + 2]]
    if (name === undefined) continue
    if (values[name] === undefined) throw new TypeError(`no value for {${name}:${type}}`)
    parameters.push(param(type!, values[name]))
  }
  return new Sql(texts, parameters)
}
