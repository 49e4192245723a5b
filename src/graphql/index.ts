export { createGraphql, type Graphql, type GraphqlDependencies } from './graphql.ts'
export { printSchema } from './schema/index.ts'
