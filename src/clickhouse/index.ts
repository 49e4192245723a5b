export { ident, join, param, raw, Sql, sql } from './sql.ts'
export * from './types.ts'
