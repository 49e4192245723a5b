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

test('mails go into the outbox unless a server is named, and then by TLS', () => {
  expect(loadConfig({})).toMatchObject({
    smtpUrl: undefined,
    smtpTls: 'required',
    mailFrom: 'Vedette <vedette@localhost>',
    dkim: undefined,
  })
  expect(
    loadConfig({
      SMTP_URL: 'smtp://me:word@mail.example.com:587',
      SMTP_TLS: 'off',
      MAIL_FROM: 'Büro <office@example.com>',
      DKIM_DOMAIN: 'example.com',
      DKIM_SELECTOR: 'vedette',
      DKIM_KEY_FILE: import.meta.filename,
    }),
  ).toMatchObject({
    smtpUrl: 'smtp://me:word@mail.example.com:587',
    smtpTls: 'off',
    mailFrom: 'Büro <office@example.com>',
    dkim: { domain: 'example.com', selector: 'vedette', keyFile: import.meta.filename },
  })
})

test.each([
  [{ SMTP_URL: 'http://mail' }, /^SMTP_URL is "http:\/\/m…"; allowed is a URL that begins with smtp:\/\/ or smtps:/],
  [{ SMTP_URL: 'smtp://mail' }, /^MAIL_FROM is ""; allowed is an address that SMTP_URL may send from/],
  [{ SMTP_URL: 'smtps://mail', MAIL_FROM: 'a@b.c', SMTP_TLS: 'off' }, /^SMTP_TLS is "off"; allowed is required where/],
  [{ SMTP_TLS: 'maybe' }, /^SMTP_TLS is "maybe"; allowed is required, off$/],
  [{ MAIL_FROM: 'nobody' }, /^MAIL_FROM is "nobody"/],
  [{ MAIL_FROM: 'a@b.c\r\nBcc: d@e.f' }, /^MAIL_FROM is "a@b.c\\r\\nBcc: d@e.f"/],
  [{ MAIL_FROM: 'A\r\nBcc: d@e.f <a@b.c>' }, /^MAIL_FROM is/],
  [{ DKIM_DOMAIN: 'example.com' }, /^DKIM_SELECTOR is ""; allowed is .* go together$/],
  [{ DKIM_DOMAIN: 'example.com', DKIM_SELECTOR: 'v', DKIM_KEY_FILE: '/nowhere' }, /^DKIM_KEY_FILE is "\/nowhere"/],
])('of mail %o is refused with what is allowed', (env, message) => {
  expect(() => loadConfig(env)).toThrow(ConfigError)
  expect(() => loadConfig(env)).toThrow(message)
})

const KEY = `whsec_${Buffer.alloc(24, 1).toString('base64')}`

test('nobody is told of incidents unless named', () => {
  expect(loadConfig({})).toMatchObject({
    incidentTo: [],
    incidentWebhooks: [],
    incidentWebhookSecret: undefined,
    incidentWebhookAllow: [],
  })
  expect(
    loadConfig({
      INCIDENT_TO: 'a@example.com, b@example.com,a@example.com',
      INCIDENT_WEBHOOKS: 'https://hooks.example.com/a, slack+https://hooks.slack.com/b,http://10.0.0.1/c',
      INCIDENT_WEBHOOK_SECRET: KEY,
      INCIDENT_WEBHOOK_ALLOW: '10.0.0.0/8,192.168.1.1',
    }),
  ).toMatchObject({
    incidentTo: ['a@example.com', 'b@example.com'],
    incidentWebhooks: ['https://hooks.example.com/a', 'slack+https://hooks.slack.com/b', 'http://10.0.0.1/c'],
    incidentWebhookSecret: KEY,
    incidentWebhookAllow: ['10.0.0.0/8', '192.168.1.1/32'],
  })
  expect(loadConfig({ INCIDENT_WEBHOOKS: 'slack+https://hooks.slack.com/b' }).incidentWebhookSecret).toBeUndefined()
})

test.each([
  [{ INCIDENT_TO: 'a@example.com,nobody' }, /^INCIDENT_TO is "nobody"; allowed is addresses such as/],
  [{ INCIDENT_TO: 'a@b.c\r\nBcc: d@e.f' }, /^INCIDENT_TO is/],
  [
    { INCIDENT_WEBHOOKS: 'ftp://a.example/secret' },
    /^INCIDENT_WEBHOOKS is "ftp:\/\/a\.…"; allowed is a URL that begins with/,
  ],
  [
    { INCIDENT_WEBHOOKS: 'slack+https://u:p@a.example' },
    /^INCIDENT_WEBHOOKS is "slack\+ht…"; allowed is a URL without user/,
  ],
  [{ INCIDENT_WEBHOOKS: 'slack+http://a.example' }, /^INCIDENT_WEBHOOKS is .* unless INCIDENT_WEBHOOK_ALLOW names/],
  [{ INCIDENT_WEBHOOKS: 'https://a.example' }, /^INCIDENT_WEBHOOK_SECRET is ""; allowed is whsec_ and base64/],
  [
    { INCIDENT_WEBHOOK_SECRET: 'whsec_c2hvcnQ=' },
    /^INCIDENT_WEBHOOK_SECRET is "14 characters"; allowed is whsec_ and 24/,
  ],
  [{ INCIDENT_WEBHOOK_SECRET: 'x'.repeat(40) }, /^INCIDENT_WEBHOOK_SECRET is "40 characters"/],
  [{ INCIDENT_WEBHOOK_ALLOW: '10.0.0.0/99' }, /^INCIDENT_WEBHOOK_ALLOW is "10.0.0.0\/99"/],
])('of incidents %o is refused with what is allowed', (env, message) => {
  expect(() => loadConfig(env)).toThrow(ConfigError)
  expect(() => loadConfig(env)).toThrow(message)
})
