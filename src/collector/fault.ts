import { FIELDS } from './fields.ts'

/** Why a row was not taken. No Error, which would take a stack trace for each of thousands of rows. */
export class Fault {
  /** The contract's name of the field; empty: the row as a whole. */
  readonly field: string
  readonly message: string

  constructor(field: string, message: string) {
    this.field = field
    this.message = message
  }

  /** For counting: a field of the contract, so that no client can make up labels. */
  get reason(): string {
    if (this.field === '') return 'row'
    return FIELDS.find((field) => field === this.field) ?? 'attributes'
  }
}

const SHOWN = 80

/** A value as an error message may show it: JSON, cut to 80 characters. */
export const show = (value: unknown): string => {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  const text = typeof value === 'string' ? JSON.stringify(value.slice(0, SHOWN + 1)) : String(value)
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text
}
