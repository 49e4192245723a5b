import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'

const ROOT = new URL('../../', import.meta.url)
const text = await readFile(new URL('docker-compose.yml', ROOT), 'utf8')
const dockerfile = await readFile(new URL('Dockerfile', ROOT), 'utf8')
const compose = parse(text, { merge: true }) as {
  services: Record<string, any>
  volumes: Record<string, unknown>
  networks: Record<string, unknown>
  configs: Record<string, unknown>
}
const services = Object.entries(compose.services)

describe('docker-compose.yml', () => {
  it('starts ClickHouse and Redis alone where no profile is named', () => {
    expect(services.filter(([, { profiles }]) => !profiles).map(([name]) => name)).toEqual(['clickhouse', 'redis'])
  })

  it('asks for these two’s passwords, and for nothing else, before anything is started', () => {
    expect([...new Set([...text.matchAll(/\$\{([A-Z_0-9]+):\?/g)].map(([, name]) => name))]).toEqual([
      'CLICKHOUSE_PASSWORD',
      'REDIS_PASSWORD',
    ])
  })

  it('holds no secret: whatever is called one comes from the environment', () => {
    const suspicious = text
      .split('\n')
      .filter((line) => /^\s+(?:- )?[A-Z_]*(?:PASSWORD|SECRET|KEY|AUTH)[A-Z_]*:\s*\S/.test(line))
      .filter((line) => !/: (?:\$\{[A-Z_0-9]+(?::[?-][^}]*)?\})$/.test(line.trimEnd()))
    expect(suspicious.map((line) => line.trim())).toEqual([])
  })

  it.each(services)('%s: an exact version, bounded logs, memory and CPU', (name, service) => {
    if (name !== 'vedette') expect(service.image).toMatch(/^[a-z0-9./-]+:v?\d+\.\d+\.\d+(?:\.\d+)?(?:-[a-z]+)?$/)
    expect(service.logging).toEqual({ driver: 'local', options: { 'max-size': '20m', 'max-file': '5' } })
    expect(service.deploy.resources.limits).toEqual({ cpus: expect.any(String), memory: expect.any(String) })
  })

  it('waits for what each needs to be well, and everything waited for says whether it is', () => {
    for (const [name, { depends_on: needs = {} }] of services)
      for (const [needed, { condition }] of Object.entries<any>(needs)) {
        expect(condition, `${name} → ${needed}`).toBe('service_healthy')
        expect(
          Boolean(compose.services[needed].healthcheck ?? (needed === 'vedette' && /^HEALTHCHECK/m.test(dockerfile))),
        ).toBe(true)
      }
    expect(Object.keys(compose.services['vedette'].depends_on)).toEqual(['clickhouse', 'redis'])
    expect(Object.keys(compose.services['nginx'].depends_on)).toEqual(['vedette'])
  })

  it('names volumes, networks, configs and files that are there, and uses each that it declares', () => {
    const used = { volumes: new Set<string>(), networks: new Set<string>(), configs: new Set<string>() }
    for (const [, service] of services) {
      for (const volume of service.volumes ?? []) {
        const [source] = (volume as string).replaceAll(/\$\{[A-Z_]+:-([^}]+)\}/g, '$1').split(':')
        if (source!.startsWith('./')) expect(existsSync(fileURLToPath(new URL(source!, ROOT))), source).toBe(true)
        else if (!source!.startsWith('/')) used.volumes.add(source!)
      }
      for (const network of service.networks) used.networks.add(network)
      for (const { source } of service.configs ?? []) used.configs.add(source)
    }
    expect([...used.volumes].toSorted()).toEqual(Object.keys(compose.volumes).toSorted())
    expect([...used.networks].toSorted()).toEqual(Object.keys(compose.networks).toSorted())
    expect([...used.configs].toSorted()).toEqual(Object.keys(compose.configs).toSorted())
  })

  it('shows the stores, and everybody’s mails, to this machine alone', () => {
    for (const [name, { ports = [] }] of services)
      if (name !== 'nginx') for (const port of ports) expect(port, name).toMatch(/^127\.0\.0\.1:/)
  })

  it('lets Redis keep what it counts: no key is evicted, and a restart finds them', () => {
    const { command } = compose.services['redis']
    expect(command[command.indexOf('--maxmemory-policy') + 1]).toBe('noeviction')
    expect(command[command.indexOf('--appendonly') + 1]).toBe('yes')
  })
})

describe('Dockerfile', () => {
  it('stands on the Node of package.json, runs as nobody special and says when it is ready', async () => {
    const { devDependencies } = JSON.parse(await readFile(new URL('package.json', ROOT), 'utf8'))
    const bases = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, image]) => image)
    expect(new Set(bases)).toEqual(new Set([`node:${devDependencies.node}-bookworm-slim`]))
    expect(dockerfile).toMatch(/^USER node$/m)
    expect(dockerfile).toMatch(/^HEALTHCHECK .*\\\n {2}CMD \[.*\/readyz/m)
    expect(dockerfile).toMatch(/^STOPSIGNAL SIGTERM$/m)
  })

  it('starts what npm start starts', async () => {
    const { scripts } = JSON.parse(await readFile(new URL('package.json', ROOT), 'utf8'))
    const [, command] = /^CMD (\[.*\])$/m.exec(dockerfile)!
    expect(JSON.parse(command!).join(' ')).toBe(scripts.start)
  })

  it('copies only what .dockerignore lets through, which is no file that may hold a secret', async () => {
    const allowed = (await readFile(new URL('.dockerignore', ROOT), 'utf8'))
      .match(/^!.+$/gm)!
      .map((line) => line.slice(1))
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, names]) => names!.split(' '))
    for (const name of copied) expect(allowed, name).toContain(name)
    expect(allowed.toSorted()).toEqual([...new Set(copied)].toSorted())
  })
})
