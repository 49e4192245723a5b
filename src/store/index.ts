export { type ApiKeysDependencies, createApiKeys } from './apikeys.ts'
export {
  type ApiKey,
  type ApiKeys,
  type Change,
  type KeyChange,
  type NewApiKey,
  StoreError,
  type StoreErrorCode,
  type Version,
  type Versions,
  type WriteOptions,
} from './types.ts'
export { createVersions, type VersionsDependencies } from './versions.ts'
