import { readFile } from 'node:fs/promises'

import { expect, test } from 'vitest'

import { loadConfig } from '../../src/config.ts'

const read = (path: string): Promise<string> => readFile(new URL(`../../${path}`, import.meta.url), 'utf8')

/** Every variable that the configuration asks for, as it asks. */
const asked = (): string[] => {
  const names = new Set<string>()
  loadConfig(
    new Proxy<Record<string, string | undefined>>(
      {},
      {
        get: (_target, name) => {
          names.add(String(name))
          return undefined
        },
      },
    ),
  )
  return [...names].toSorted()
}

const named = (text: string): string[] =>
  [...text.matchAll(/^(?:# )?([A-Z][A-Z_]+)=/gm)].map(([, name]) => name!).toSorted()

test('vedette.env.example names each variable of the configuration once, and no other', async () => {
  expect(named(await read('deploy/vedette.env.example'))).toEqual(asked())
})

test('a comment stands above each of its variables', async () => {
  const lines = (await read('deploy/vedette.env.example')).split('\n')
  const bare = lines.filter(
    (line, index) => /^(?:# )?[A-Z][A-Z_]+=/.test(line) && !/^# \S/.test(lines[index - 1] ?? ''),
  )
  expect(bare).toEqual([])
})

test('the configuration takes the example as it is, and with every default that it shows', async () => {
  const text = await read('deploy/vedette.env.example')
  const set = (pattern: RegExp) =>
    Object.fromEntries([...text.matchAll(pattern)].map(([, name, value]) => [name, value]))
  expect(loadConfig(set(/^([A-Z_]+)=(.*)$/gm))).toMatchObject({
    publicUrl: 'https://vedette.example.com',
    trustedProxies: ['127.0.0.1/32'],
  })
  const defaults = set(
    /^# ((?:PORT|HOST|ROLES|SPOOL_MAX_BYTES|[A-Z]*_?RETENTION_DAYS|ANONYMISE_BY|MASK_QUERY|SMTP_TLS|MAIL_FROM|BACKUP_SCHEDULE|BACKUP_KEEP|CRAWLER_DNS|SETTLE_SECONDS|LOG_LEVEL))=(.*)$/gm,
  )
  expect(Object.keys(defaults)).toHaveLength(16)
  expect(loadConfig(defaults)).toEqual(loadConfig({}))
})

test('docker-compose.yml passes on every variable that it does not set itself', async () => {
  const compose = await read('docker-compose.yml')
  // The container's own, in the image; and what one process of all roles has no use for.
  const own = new Set(['HOST', 'PORT', 'DATA_DIR', 'ROLES', 'CLICKHOUSE_CLUSTER'])
  expect(asked().filter((name) => !own.has(name) && !new RegExp(`^ {6}${name}:`, 'm').test(compose))).toEqual([])
})
