/** What is worth a line of its own: who was denied, who tried a key, who changed the block list. */
export type SecurityEvent =
  | {
      event: 'limited' | 'shadow_limited' | 'blocked'
      /** The client's address; empty: unknown. */
      ip: string
      /** What the limit counted. */
      counted: string
      service: string
      policyId: string
      /** Of the block list; empty: it did not decide. */
      entryId: string
      /** Of the first of them. */
      method: string
      path: string
      /** How many like it since the last such line. */
      count: number
    }
  | { event: 'key_refused'; ip: string; method: string; path: string; reason: string; count: number }
  | {
      event: 'block_list_added' | 'block_list_changed' | 'block_list_removed'
      entryId: string
      cidr: string
      action: string
      source: string
      reason: string
      by: string
      expiresAt: string | null
    }
  | { event: 'policy_changed' | 'policy_removed'; policyId: string; name: string; mode: string; by: string }

/** All that there are, for those who choose among them. */
export const SECURITY_EVENTS = [
  'limited',
  'shadow_limited',
  'blocked',
  'key_refused',
  'block_list_added',
  'block_list_changed',
  'block_list_removed',
  'policy_changed',
  'policy_removed',
] as const satisfies readonly SecurityEvent['event'][]

/** `DATA_DIR/security.log`: JSON lines for people (`vedette logs --security --follow`) and for a SIEM to read. */
export interface SecurityLog {
  /** Never throws, never waits. */
  write: (event: SecurityEvent) => void
  stop: () => Promise<void>
}
