/** An error as ClickHouse names it: number, name, text. */
export class EngineError extends Error {
  override name = 'EngineError'
  readonly code: number
  readonly type: string

  constructor(code: number, type: string, message: string) {
    super(message)
    this.code = code
    this.type = type
  }

  /** The body of an answer, as a server writes it and clients parse it. */
  get body(): string {
    return `Code: ${this.code}. DB::Exception: ${this.message} (${this.type}) (version ${version})\n`
  }
}

let version = 'embedded'
/** The engine's version, known once it runs, at the end of each error as a server puts it. */
export const setVersion = (text: string): void => {
  version = text
}

/** Reads `Code: 60. DB::Exception: … (UNKNOWN_TABLE)`; what the engine repeats before and after it is said once. */
export const toEngineError = (error: unknown): EngineError => {
  if (error instanceof EngineError) return error
  const text = error instanceof Error ? error.message : String(error)
  const [, code] = /Code: (\d+)\./.exec(text) ?? []
  if (code === undefined) return new EngineError(1002, 'UNKNOWN_EXCEPTION', text)
  const types = [...text.matchAll(/\(([A-Z][A-Z0-9_]{2,})\)/g)]
  const message = text
    .replace(/^(?:Code: \d+\. DB::Exception: )+/, '')
    .replace(/(?:\s*\([A-Z][A-Z0-9_]{2,}\)(?: \(version [^)]*\))?\.?)+\s*$/, '')
  return new EngineError(Number(code), types.at(-1)?.[1] ?? 'UNKNOWN_EXCEPTION', message)
}

const STATUS: Record<number, readonly number[]> = {
  // Does not parse: text, number, date, UUID, IP address, types, syntax.
  400: [6, 25, 26, 27, 36, 38, 41, 42, 43, 44, 53, 62, 69, 70, 72, 117, 130, 131, 321, 376, 441, 456, 457, 675, 676],
  403: [193, 195, 497, 516],
  // Unknown function, column, type, engine, table, aggregate, format, database, order, setting, user.
  404: [46, 47, 50, 56, 60, 63, 73, 81, 88, 115, 192],
  408: [159],
  413: [307],
  501: [48],
  503: [202, 209],
}
const statusByCode = new Map(
  Object.entries(STATUS).flatMap(([status, codes]) => codes.map((code) => [code, Number(status)])),
)

/** The HTTP status that goes with an error's number; 500 for most of them, as on a server. */
export const statusOf = (error: EngineError): number => statusByCode.get(error.code) ?? 500
