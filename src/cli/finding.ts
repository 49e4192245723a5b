type State = 'ok' | 'warning' | 'failed'

/** A line of `vedette doctor`. */
export interface Finding {
  part: string
  state: State
  what: string
  /** What to do about it; empty: nothing. */
  remedy: string
}

export const ok = (part: string, what: string): Finding => ({ part, state: 'ok', what, remedy: '' })
export const warning = (part: string, what: string, remedy: string): Finding => ({
  part,
  state: 'warning',
  what,
  remedy,
})
export const failed = (part: string, what: string, remedy: string): Finding => ({ part, state: 'failed', what, remedy })

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
