import { expect, test } from 'vitest'

import { ConfigError, loadConfig } from '../../src/config.ts'

test('no back-ups are scheduled unless BACKUP_DIR names a place; then nightly, a week of them', () => {
  expect(loadConfig({})).toMatchObject({ backupDir: undefined, backupSchedule: '15 3 * * *', backupKeep: 7 })
  expect(loadConfig({ BACKUP_DIR: '/b', BACKUP_SCHEDULE: '0 */6 * * 1-5', BACKUP_KEEP: '3' })).toMatchObject({
    backupDir: '/b',
    backupSchedule: '0 */6 * * 1-5',
    backupKeep: 3,
  })
})

test.each([
  [{ BACKUP_SCHEDULE: 'nightly' }, /^BACKUP_SCHEDULE is "nightly"; allowed is a cron pattern of five fields/],
  [{ BACKUP_SCHEDULE: '61 3 * * *' }, /^BACKUP_SCHEDULE is "61 3 \* \* \*"/],
  [{ BACKUP_SCHEDULE: '0 0 3 * * *' }, /^BACKUP_SCHEDULE is "0 0 3 \* \* \*"/],
  [{ BACKUP_SCHEDULE: '0 0 30 2 *' }, /^BACKUP_SCHEDULE is "0 0 30 2 \*"/],
  [{ BACKUP_KEEP: '0' }, /^BACKUP_KEEP is "0"; allowed is a whole number from 1 to 1000$/],
])('%j is refused', (env, message) => {
  expect(() => loadConfig(env)).toThrow(ConfigError)
  expect(() => loadConfig(env)).toThrow(message)
})
