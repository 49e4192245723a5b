export { createRedis, type RedisDependencies } from './redis.ts'
export { type Lease, type LeaseOptions, type Redis, RedisError, type RedisErrorKind } from './types.ts'
