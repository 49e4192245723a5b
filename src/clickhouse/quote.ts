/** A string literal of ClickHouse, for the few places where a parameter cannot stand. */
export const literal = (text: string): string => `'${text.replaceAll(/[\\']/g, String.raw`\$&`)}'`

/** A quoted name of a table, column or database. */
export const quoted = (name: string): string => `\`${name.replaceAll(/[\\`]/g, String.raw`\$&`)}\``
