import { execFile, spawnSync } from 'node:child_process'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { parse } from 'yaml'

import { temporaryFolder } from '../support/app.ts'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const UNITS = { 'vedette.service': 'vedette.service', 'vedette@.service': 'vedette@collector.service' }
const there = spawnSync('systemd-analyze', ['--version']).status === 0

// Shown as skipped where there is no systemd.
describe.skipIf(!there)('deploy/systemd', () => {
  let folder: string
  beforeAll(async () => {
    folder = await temporaryFolder()
    for (const [name, as] of Object.entries(UNITS)) {
      const unit = await readFile(join(ROOT, 'deploy/systemd', name), 'utf8')
      // It asks that the command is there, on whatever machine this is.
      await writeFile(join(folder, as), unit.replace('/usr/bin/node', process.execPath))
    }
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it.each(Object.values(UNITS))('%s is understood whole by systemd, and exposes little', async (name) => {
    const { stderr } = await run('systemd-analyze', ['verify', '--man=no', join(folder, name)])
    expect(stderr.split('\n').filter((line) => line.includes(name))).toEqual([])
    const { stdout } = await run('systemd-analyze', ['security', '--offline=true', '--no-pager', join(folder, name)])
    expect(Number(/exposure level .*: ([\d.]+)/.exec(stdout)![1])).toBeLessThanOrEqual(1.5)
  })
})

test('both units start what npm start starts, and give it time to stop', async () => {
  const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  for (const name of Object.keys(UNITS)) {
    const unit = await readFile(join(ROOT, 'deploy/systemd', name), 'utf8')
    expect(/^ExecStart=\/usr\/bin\/(.*)$/m.exec(unit)![1]).toBe(scripts.start)
    expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)![1])).toBeGreaterThan(25)
  }
})

test('every alert asks for a metric that Vedette has, and says what to do', async () => {
  const sources = (await readdir(join(ROOT, 'src'), { recursive: true })).filter((name) => name.endsWith('.ts'))
  const known = new Set<string>()
  for (const name of sources)
    for (const [metric] of (await readFile(join(ROOT, 'src', name), 'utf8')).matchAll(/(?<=')vedette_[a-z_]+(?=')/g))
      known.add(metric)
  const { groups } = parse(await readFile(join(ROOT, 'deploy/prometheus/alerts.yml'), 'utf8'))
  const rules = groups.flatMap((group: any) => group.rules)
  expect(rules.length).toBeGreaterThan(10)
  for (const { alert, expr, labels, annotations } of rules) {
    const asked = [...expr.matchAll(/vedette_[a-z_]+/g)].map(([metric]) => metric.replace(/_(bucket|sum|count)$/, ''))
    expect([...known], alert).toEqual(expect.arrayContaining(asked))
    expect(['info', 'warning', 'critical'], alert).toContain(labels.severity)
    expect(annotations, alert).toEqual({ summary: expect.any(String), description: expect.any(String) })
  }
})
