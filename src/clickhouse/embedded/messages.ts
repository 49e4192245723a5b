/** What passes between the service and its engine's process. The password travels here and not in arguments or environment. */
export type ToEngine = StartMessage | { type: 'stop'; graceMs: number }

export interface StartMessage {
  type: 'start'
  folder: string
  database: string
  user: string
  password: string
  /** 0: any free one. */
  port: number
  engineArguments: readonly string[]
  /** What a statement runs with unless it says otherwise. */
  settings: Readonly<Record<string, string>>
}

export type FromEngine = { type: 'ready'; port: number } | { type: 'failed'; reason: string }
