export { countRowsOf, forget, type ForgetOptions, type Forgotten, type RowsByTable } from './forget.ts'
export { createRetention, type Retention, type RetentionDependencies } from './retention.ts'
export { applyRetention, type RetentionDays, retentionOf } from './ttl.ts'
export type { Anonymising, CleanupJob } from './types.ts'
