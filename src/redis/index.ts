export { type Lease, type LeaseOptions, type Redis, RedisError, type RedisErrorKind } from './types.ts'
