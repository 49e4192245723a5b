/** What can be chosen of a back-up. `other` is whatever a later version adds beside these. */
export const PARTS = [
  'keys',
  'policies',
  'blocklist',
  'verdicts',
  'detectors',
  'subscriptions',
  'findings',
  'rollups',
  'logs',
  'decisions',
  'other',
] as const
export type Part = (typeof PARTS)[number]

/** Rows of one table, or those of one part of it, as lines of JSONCompactEachRow, packed by zstd. */
export interface BackupFile {
  /** Name in the folder. */
  name: string
  part: Part
  table: string
  /** In the order in which the rows have them. */
  columns: readonly string[]
  rows: number
  /** Sum of the hashes of all rows, modulo 2^64, as text: the same in whatever order they lie. */
  checksum: string
  /** Of the file. */
  bytes: number
  sha256: string
}

/** `manifest.json`, written last: a folder without it is no back-up. */
export interface Manifest {
  format: 1
  /** Of Vedette. */
  version: string
  /** When the moment's copy of the tables was taken, RFC 3339. */
  takenAt: string
  finishedAt: string
  parts: readonly Part[]
  files: readonly BackupFile[]
  /** sha256 of `secret`, which comes with a back-up of everything where `DATA_DIR` holds one. */
  secret: string | null
}

/** Such as: the folder is there already, no manifest, another version. The message ends with the way out. */
export class BackupError extends Error {
  override name = 'BackupError'
}

export interface BackupLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}
