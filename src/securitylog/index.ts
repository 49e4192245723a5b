export { visible } from './line.ts'
export { createRefusedKeys, type RefusedKeyNote, type RefusedKeys } from './refused-keys.ts'
export { createSecurityLog, type SecurityLogDependencies, securityLogFiles } from './securitylog.ts'
export { SECURITY_EVENTS, type SecurityEvent, type SecurityLog } from './types.ts'
