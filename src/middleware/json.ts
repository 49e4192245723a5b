/** What stands in JSON as it is: printable ASCII but the quote and the backslash. */
const PLAIN = /^[ !#-[\]-~]*$/

/** JSON in ASCII alone, so that characters are bytes. */
export const ascii = (value: unknown): string =>
  JSON.stringify(value).replaceAll(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

/** The inside of a JSON string. */
export const inside = (text: string): string => (PLAIN.test(text) ? text : ascii(text).slice(1, -1))

/** `,"name":"text"`; empty text is absent. */
export const field = (name: string, text: string): string => (text === '' ? '' : `,"${name}":"${inside(text)}"`)

/** Of names and ids; the collector refuses rows with longer ones. */
const LONGEST_NAME = 1024

/** As `field`, cut to what the collector takes for names and ids. */
export const nameField = (name: string, text: string): string =>
  field(name, text.length > LONGEST_NAME ? text.slice(0, LONGEST_NAME) : text)
