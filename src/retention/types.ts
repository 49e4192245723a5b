export interface RetentionLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

/** What job context and result have, as `jobs` has them: rooms of one floor do not import each other. */
export interface CleanupContext {
  window: { from: Date; to: Date }
  signal: AbortSignal
}

export interface CleanupResult {
  rowsRead: number
  rowsWritten: number
}

export interface CleanupJob {
  name: 'cleanup'
  description: string
  windowSeconds: number
  settleSeconds: number
  catchUp: 'latest'
  run: (context: CleanupContext) => Promise<CleanupResult>
}

/** How addresses and users in raw rows are made unrecognisable, and when. */
export interface Anonymising {
  /** Age in days, by the time of the request, whole days of UTC. */
  afterDays: number
  /**
   * - `truncate`: IPv4 to its /24, IPv6 to its /48, users emptied
   * - `hash`: a keyed hash, the same for the same address or user, in 3fff::/24 or behind `anon:`
   */
  by: 'truncate' | 'hash'
  /** Of the hash. */
  secret: string
}
