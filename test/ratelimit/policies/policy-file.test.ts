import { appendFile, readFile, rename, symlink, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setInterval } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { beforeEach, describe, expect, it } from 'vitest'

import { ConfigError, loadConfig } from '../../../src/config.ts'
import { parsePolicyFile } from '../../../src/ratelimit/policies/parse-file.ts'
import { testDatabase } from '../../support/clickhouse.ts'
import { processes } from './support.ts'

const database = testDatabase()
const { make, start, folder } = processes()
let path: string
beforeEach(async () => {
  await database.empty('store_versions')
  path = join(await folder(), 'policies.yaml')
})

const EXAMPLE = fileURLToPath(new URL('../../../deploy/policies.example.yaml', import.meta.url))
const by = 'key_1'

/** The limits of a file with one policy on /login. */
const withLimit = (limit: number | string): string =>
  `policies:\n  - id: login\n    pathPattern: /login\n    limit: ${limit}\n    windowSeconds: 60\n`

/** Beside it and renamed, as one does. */
const replace = async (text: string): Promise<void> => {
  await writeFile(`${path}.new`, text)
  await rename(`${path}.new`, path)
}

/** Looked at more often than the service does, but where a time is promised. */
const started = (filePollMs = 50) => start(database.clickhouse, { policyFile: path, filePollMs })
const startedAsServed = () => start(database.clickhouse, { policyFile: path })

describe('the file', () => {
  it('needs an id and the numbers; the rest is as in GraphQL, and the name is the id', () => {
    expect(parsePolicyFile(withLimit(5), 'F')).toEqual([
      {
        id: 'login',
        name: 'login',
        service: '*',
        pathPattern: '/login',
        methods: [],
        key: 'IP',
        limit: 5,
        authenticatedLimit: null,
        windowSeconds: 60,
        algorithm: 'FIXED_WINDOW',
        blockSeconds: 0,
        mode: 'SHADOW',
        onError: 'ALLOW',
      },
    ])
  })

  it('may be JSON, with tabs too, may use anchors, and may hold no policies', () => {
    const json = {
      policies: [{ id: 'a', name: 'A', service: '*', limit: 1, windowSeconds: 2, authenticatedLimit: null }],
    }
    expect(parsePolicyFile(JSON.stringify(json, undefined, '\t'), 'F')).toMatchObject(json.policies)
    const anchors =
      'policies:\n  - { id: a, limit: &l 5, windowSeconds: 60 }\n  - { id: b, limit: *l, windowSeconds: 60 }'
    expect(parsePolicyFile(anchors, 'F').map(({ limit }) => limit)).toEqual([5, 5])
    expect(parsePolicyFile('policies: []', 'F')).toEqual([])
  })

  it.each<[what: string, text: string, message: string]>([
    [
      'a number out of range',
      withLimit(0),
      'F, line 4: policies[0].limit is 0; allowed is a whole number from 1 to 1000000',
    ],
    ['a number in quotes', withLimit('"5"'), 'F, line 4: policies[0].limit is "5"; allowed is a whole number'],
    ['a blank', withLimit(''), 'F, line 4: policies[0].limit is null; allowed is a whole number'],
    [
      'a missing number',
      'policies:\n\n  - id: a\n    limit: 1\n',
      'F, line 3: policies[0].windowSeconds is missing; allowed is',
    ],
    [
      'a slip in a name',
      `${withLimit(5)}    blokSeconds: 1\n`,
      'F, line 6: policies[0].blokSeconds is unknown; allowed are id, name, service, pathPattern, methods, key, limit,',
    ],
    ['a slip above', `policy: []\n`, 'F, line 1: policy is unknown; allowed is policies alone'],
    ['a slip beside', `policies: []\nversion: 2\n`, 'F, line 2: version is unknown; allowed is policies alone'],
    [
      'a pattern',
      withLimit('5\n    service: shop').replace('/login', '/lo*'),
      'F, line 3: policies[0].pathPattern is "/lo*": * must fill its segment',
    ],
    [
      'no id',
      'policies:\n  - { limit: 1, windowSeconds: 1 }',
      'F, line 2: policies[0].id is missing; allowed are 1 to 64 letters',
    ],
    [
      'an id with blanks',
      'policies:\n  - { id: my id, limit: 1, windowSeconds: 1 }',
      'F, line 2: policies[0].id is "my id"; allowed are',
    ],
    [
      'an id of a key',
      'policies:\n  - { id: key_x, limit: 1, windowSeconds: 1 }',
      'F, line 2: policies[0].id is "key_x"; allowed are',
    ],
    [
      'an id twice',
      `${withLimit(5)}  - { id: b, limit: 1, windowSeconds: 1 }\n  - id: login\n`,
      'F, line 7: policies[2].id is "login", and so is policies[0].id; ids must differ',
    ],
    [
      'the second list entry',
      `${withLimit(5)}  - just text\n`,
      'F, line 6: policies[1] is "just text"; allowed is { id:',
    ],
    ['a name twice', `${withLimit(5)}    limit: 6\n`, 'F, line 6: not YAML: Map keys must be unique'],
    [
      'an unquoted star',
      'policies:\n  - id: a\n    service: *\n',
      "F, line 3: not YAML: Alias cannot be an empty string at line 3, column 14; a * by itself goes into quotes: '*'",
    ],
    ['an open bracket', 'policies: [\n', 'F, line 2: not YAML: '],
    ['no list', 'policies: { a: 1 }', 'F, line 1: policies is not a list; allowed is policies: [{ id:'],
    [
      'nothing, as when it is being written',
      '',
      'F, line 1: the file must hold policies: [{ id: …, limit: …, windowSeconds: … }]; for none write policies: []',
    ],
    ['comments alone', '# policies:\n', 'F, line 1: the file must hold'],
    ['a list on top', '- id: a', 'F, line 1: the file must hold'],
    [
      'too many',
      `policies:\n${Array.from({ length: 501 }, (_, i) => `  - { id: p${i}, limit: 1, windowSeconds: 1 }\n`).join('')}`,
      'F, line 2: policies has 501 entries; allowed are 500',
    ],
    [
      'a bomb of aliases',
      `a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\npolicies: [*c,*c,*c,*c,*c,*c,*c]`,
      'F, line 1: not YAML: Excessive alias count',
    ],
  ])('with %s is refused, naming the place', (_what, text, message) => {
    expect(() => parsePolicyFile(text, 'F')).toThrow(ConfigError)
    expect(() => parsePolicyFile(text, 'F')).toThrow(message)
  })

  it('deploy/policies.example.yaml is a good one, and what it says of a request is true', async () => {
    const { idFor, policies } = await start(database.clickhouse, { policyFile: EXAMPLE })
    expect(policies.list().map(({ id, source }) => [id, source])).toEqual([
      ['shop-login', 'FILE'],
      ['shop-api', 'FILE'],
      ['exports', 'FILE'],
      ['health-checks', 'FILE'],
      ['default', 'FILE'],
    ])
    expect(idFor('GET', 'shop', '/healthz')).toBe('health-checks')
    expect(idFor('POST', 'shop', '/login')).toBe('shop-login')
    expect(idFor('GET', 'shop', '/login')).toBe('default')
    expect(idFor('GET', 'shop-eu', '/api/carts/7')).toBe('shop-api')
    expect(idFor('GET', 'blog', '/users/7/export')).toBe('exports')
    // Each field is shown there.
    const text = await readFile(EXAMPLE, 'utf8')
    for (const field of Object.keys(policies.list()[0]!).filter((name) => !['source', 'version'].includes(name)))
      expect(text).toMatch(new RegExp(String.raw`^ +(?:- )?${field}: `, 'm'))
  })
})

describe('at the start', () => {
  it('POLICY_FILE is read from where it was named', () => {
    expect(loadConfig({}).policyFile).toBeUndefined()
    expect(loadConfig({ POLICY_FILE: 'my/policies.yaml' }).policyFile).toBe(join(process.cwd(), 'my/policies.yaml'))
  })

  it('a broken file stops it, with the place', async () => {
    await writeFile(path, withLimit('many'))
    const { start } = make(database.clickhouse, { policyFile: path })
    const failed = start()
    await expect(failed).rejects.toThrow(`POLICY_FILE ${path}, line 4: policies[0].limit is "many"; allowed is`)
    await expect(failed).rejects.toThrow(ConfigError)
  })

  it('a missing or overlong file stops it', async () => {
    await expect(make(database.clickhouse, { policyFile: path }).start()).rejects.toThrow(
      `POLICY_FILE ${path} cannot be read: ENOENT`,
    )
    await writeFile(path, `policies: []\n${'#'.repeat(1_048_576)}`)
    await expect(make(database.clickhouse, { policyFile: path }).start()).rejects.toThrow(
      `POLICY_FILE ${path} has 1048589 bytes; allowed are 1048576`,
    )
  })
})

describe('while it runs', () => {
  it.each([
    ['renamed over the old one', replace],
    ['written in place', (text: string) => writeFile(path, text)],
    [
      'behind a symlink that is turned',
      async (text: string) => {
        await writeFile(`${path}.v2`, text)
        await symlink(`${path}.v2`, `${path}.link`)
        await rename(`${path}.link`, path)
      },
    ],
  ])('a good file is in force within two seconds, %s', async (_how, change) => {
    await writeFile(path, withLimit(5))
    const { policies, events } = await startedAsServed()
    const told: number[] = []
    policies.onChange(() => void told.push(policies.get('login')!.limit))
    await change(withLimit(6))
    await expect.poll(() => policies.get('login')?.limit, { timeout: 2_000 }).toBe(6)
    expect(told).toEqual([6])
    expect(events).toEqual([
      { event: 'policy_changed', policyId: 'login', name: 'login', mode: 'SHADOW', by: 'POLICY_FILE' },
    ])
  })

  it('what a file no longer names goes', async () => {
    await writeFile(path, withLimit(5))
    const { policies, events } = await started()
    await replace('policies: []')
    await expect.poll(() => policies.get('login'), { timeout: 2_000 }).toBeUndefined()
    expect(events).toEqual([
      { event: 'policy_removed', policyId: 'login', name: 'login', mode: 'SHADOW', by: 'POLICY_FILE' },
    ])
  })

  it.each([
    ['a broken file', () => replace(withLimit(0)), 'line 4: policies[0].limit is 0'],
    ['an empty file', () => replace(''), 'line 1: the file must hold'],
    ['a missing file', () => unlink(path), 'cannot be read: ENOENT'],
  ])(
    'with %s the last good policies stay, with one line and a metric, until it is mended',
    async (_what, spoil, reason) => {
      await writeFile(path, withLimit(5))
      const { policies, logged, metrics } = await started()
      expect(await metrics()).toContain('vedette_policy_file_good 1')
      await spoil()
      await expect.poll(metrics).toContain('vedette_policy_file_good 0')
      expect(policies.get('login')?.limit).toBe(5)
      const errors = () =>
        logged()
          .split('\n')
          .filter((line) => line.includes('"level":"error"'))
      expect(errors()).toHaveLength(1)
      expect(errors()[0]).toContain(reason)
      expect(errors()[0]).toContain('its last good policies stay in force')
      await replace(withLimit(7))
      await expect.poll(() => policies.get('login')?.limit).toBe(7)
      expect(await metrics()).toContain('vedette_policy_file_good 1')
      expect(errors()).toHaveLength(1)
    },
  )

  it('a file that is written slowly is never taken by half, though each half is a good one', async () => {
    await writeFile(path, withLimit(5))
    const { policies } = await startedAsServed()
    const seen = new Set<number>()
    policies.onChange(() => void seen.add(policies.list().length))
    await writeFile(path, 'policies:\n')
    let lines = 0
    // Three looks long, by a writer that takes 20 ms for a line.
    for await (const _ of setInterval(20)) {
      await appendFile(path, `  - { id: p${lines++}, limit: 1, windowSeconds: 1 }\n`)
      if (lines === 75) break
    }
    await expect.poll(() => policies.get('p74')).toBeDefined()
    expect([...seen]).toEqual([76])
  })
})

describe('a policy of the file', () => {
  it('wins over a saved one of the same id, which is back when the file lets go', async () => {
    await writeFile(path, 'policies: []')
    const { policies } = await started()
    const made = await policies.save({ name: 'saved', limit: 1, windowSeconds: 1 }, { by })
    await replace(
      `policies: [{ id: ${made.id}, limit: 8, windowSeconds: 1 }, { id: default, limit: 99, windowSeconds: 1 }]`,
    )
    await expect.poll(() => policies.get(made.id)).toMatchObject({ source: 'FILE', limit: 8, version: 0 })
    expect(policies.get('default')).toMatchObject({
      source: 'FILE',
      limit: 99,
      authenticatedLimit: null,
      mode: 'SHADOW',
    })
    await replace('policies: []')
    await expect.poll(() => policies.get(made.id)).toEqual(made)
    expect(policies.get('default')).toMatchObject({ source: 'BUILT_IN', limit: 5 })
  })

  it('is changed and removed in the file alone', async () => {
    await writeFile(path, withLimit(5))
    const { policies, events } = await started()
    await expect(policies.save({ id: 'login', limit: 9 }, { by })).rejects.toMatchObject({
      code: 'INVALID',
      field: 'id',
      message: 'the policy "login" comes from POLICY_FILE; change it there',
    })
    await expect(policies.remove('login', { by })).rejects.toThrow('comes from POLICY_FILE; remove it there')
    expect(policies.get('login')?.limit).toBe(5)
    expect(events).toEqual([])
  })
})
