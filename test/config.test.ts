import { tmpdir } from 'node:os'

import { expect, test } from 'vitest'

import { ConfigError, loadConfig } from '../src/config.ts'

test('what is kept how long, and that nothing is made anonymous, goes without saying', () => {
  expect(loadConfig({})).toMatchObject({
    retentionDays: 30,
    decisionRetentionDays: 30,
    findingRetentionDays: 400,
    anonymiseAfterDays: undefined,
    anonymiseBy: 'truncate',
    secret: undefined,
    detectorsDir: undefined,
    crawlerRangesDir: undefined,
    crawlerDns: true,
  })
})

test('retention, anonymising, detectors and crawlers are read as they are written', () => {
  expect(
    loadConfig({
      RETENTION_DAYS: '90',
      DECISION_RETENTION_DAYS: '7',
      FINDING_RETENTION_DAYS: '800',
      ANONYMISE_AFTER_DAYS: '14',
      ANONYMISE_BY: 'hash',
      VEDETTE_SECRET: 'x'.repeat(32),
      DETECTORS_DIR: tmpdir(),
      CRAWLER_RANGES_DIR: tmpdir(),
      CRAWLER_DNS: 'false',
    }),
  ).toMatchObject({
    retentionDays: 90,
    decisionRetentionDays: 7,
    findingRetentionDays: 800,
    anonymiseAfterDays: 14,
    anonymiseBy: 'hash',
    secret: 'x'.repeat(32),
    detectorsDir: tmpdir(),
    crawlerRangesDir: tmpdir(),
    crawlerDns: false,
  })
})

test.each([
  [{ DECISION_RETENTION_DAYS: '0' }, /^DECISION_RETENTION_DAYS is "0"; allowed is a whole number from 1 to 3650$/],
  [{ FINDING_RETENTION_DAYS: 'x' }, /^FINDING_RETENTION_DAYS is "x"/],
  [{ ANONYMISE_AFTER_DAYS: '30' }, /^ANONYMISE_AFTER_DAYS is "30"; allowed is a whole number from 1 to 29$/],
  [{ ANONYMISE_AFTER_DAYS: '0' }, /^ANONYMISE_AFTER_DAYS is "0"/],
  [{ ANONYMISE_AFTER_DAYS: '1', RETENTION_DAYS: '1' }, /^ANONYMISE_AFTER_DAYS is "1"; allowed is nothing/],
  [{ ANONYMISE_BY: 'md5' }, /^ANONYMISE_BY is "md5"; allowed is truncate, hash$/],
  [{ VEDETTE_SECRET: 'short' }, /^VEDETTE_SECRET is "5 characters"/],
  [{ DETECTORS_DIR: '/nowhere/at/all' }, /^DETECTORS_DIR is "\/nowhere\/at\/all"; allowed is the path of a folder/],
  [{ CRAWLER_RANGES_DIR: '/nowhere/at/all' }, /^CRAWLER_RANGES_DIR is "\/nowhere\/at\/all"/],
  [{ CRAWLER_DNS: 'maybe' }, /^CRAWLER_DNS is "maybe"; allowed is true, false$/],
])('%o is refused with what is allowed', (env, message) => {
  expect(() => loadConfig(env)).toThrow(ConfigError)
  expect(() => loadConfig(env)).toThrow(message)
})
