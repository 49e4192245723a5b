export {
  createRollups,
  type RollupContext,
  type RollupResult,
  type Rollups,
  type RollupsDependencies,
} from './rollups.ts'
export { rowsOfDays } from './rows-of-days.ts'
