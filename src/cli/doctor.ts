import { readdir, statfs } from 'node:fs/promises'

import type { Command } from 'commander'

import { createClickHouse, MIGRATIONS, raw, sql } from '../clickhouse/index.ts'
import { type Config, loadConfig } from '../config.ts'
import { checkDetectorFile, type DetectorFile, readDetectors } from '../detection/index.ts'
import { createGeo, OLD_DATABASE_DAYS } from '../geo/index.ts'
import type { Log } from '../http/index.ts'
import { createRedis } from '../redis/index.ts'
import { listQuarantine } from '../spool/index.ts'
import { checkBackups, checkJobs, checkStoreDisk } from './doctor-upkeep.ts'
import { failed, type Finding, messageOf, ok, warning } from './finding.ts'
import { json, out } from './print.ts'
import { findService, readPlace } from './service.ts'
import { commandLog } from './stores.ts'

const DAY_MS = 86_400_000

const checkService = async (config: Config): Promise<Finding[]> => {
  const url = await findService(config)
  if (url === undefined) return [warning('service', `none runs on ${config.dataDir}`, 'start it with: vedette serve')]
  const response = await fetch(`${url}/readyz`)
  const { status, parts } = (await response.json()) as { status: string; parts: Record<string, { state: string }> }
  const bad = Object.entries(parts).flatMap(([name, { state }]) => (state === 'ok' ? [] : [`${name} ${state}`]))
  if (bad.length === 0) return [ok('service', `ready at ${url}`)]
  return [failed('service', `${status} at ${url}: ${bad.join(', ')}`, 'see the parts below, and its log')]
}

const checkDisk = async (config: Config): Promise<Finding[]> => {
  try {
    const { bavail, blocks, bsize } = await statfs(config.dataDir)
    const share = (bavail / blocks) * 100
    const what = `${((bavail * bsize) / 2 ** 30).toFixed(1)} GiB (${share.toFixed(0)} %) free at ${config.dataDir}`
    if (share < 5)
      return [failed('disk', what, 'make room: below 5 % the collector takes nothing, below 2 % no job begins')]
    return [share < 15 ? warning('disk', what, 'make room, or set RETENTION_DAYS lower') : ok('disk', what)]
  } catch {
    return [warning('disk', `${config.dataDir} is not there yet`, 'serve makes it; or set DATA_DIR')]
  }
}

const checkClickHouse = async (config: Config, log: Log): Promise<Finding[]> => {
  const where = config.clickhouseUrl === undefined ? 'embedded engine' : new URL(config.clickhouseUrl).host
  try {
    const clickhouse = await createClickHouse({
      url: config.clickhouseUrl,
      dataDir: config.dataDir,
      log,
      role: 'attach',
    })
    try {
      const { rows } = await clickhouse.query<{ version: string; tables: number }>(
        sql`SELECT version() AS version, (SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'schema_migrations') AS tables`,
      )
      const { version, tables } = rows[0]!
      const found = ok('clickhouse', `${where}, version ${version}`)
      if (tables === 0) return [found, warning('tables', 'none yet', 'run: vedette migrate')]
      const applied = await clickhouse.query<{ name: string }>(raw('SELECT DISTINCT name FROM schema_migrations'))
      const missing = (await readdir(MIGRATIONS)).filter(
        (name) => name.endsWith('.sql') && !applied.rows.some((row) => row.name === name),
      )
      return [
        found,
        missing.length === 0
          ? ok('tables', `${applied.rows.length} migrations applied`)
          : warning('tables', `${missing.join(', ')} not applied`, 'run: vedette migrate'),
        ...(await checkStoreDisk(clickhouse)),
      ]
    } finally {
      await clickhouse.close()
    }
  } catch (error) {
    const remedy =
      config.clickhouseUrl === undefined
        ? 'see what holds DATA_DIR, or set CLICKHOUSE_URL'
        : 'see that the server runs and that CLICKHOUSE_URL is right; rows wait in the spool meanwhile'
    return [failed('clickhouse', `${where}: ${messageOf(error)}`, remedy)]
  }
}

const checkRedis = async (config: Config, log: Log): Promise<Finding[]> => {
  if (config.redisUrls.length === 0) return [ok('redis', 'none: this process keeps limits and leases itself')]
  const redis = createRedis(config.redisUrls, { log })
  const where =
    config.redisUrls.length === 1 ? new URL(config.redisUrls[0]!).host : `cluster of ${config.redisUrls.length}`
  try {
    await redis.start()
    await redis.ping()
    return [ok('redis', `${where} answers`)]
  } catch (error) {
    const message = messageOf(error)
    return [
      failed(
        'redis',
        // What ioredis says of a connection that is not there.
        message.includes("Stream isn't writeable") ? `${where} does not answer` : `${where}: ${message}`,
        'see that it runs and that REDIS_URL is right; the collector goes on without it',
      ),
    ]
  } finally {
    await redis.stop()
  }
}

const checkGeo = async (config: Config, log: Log): Promise<Finding[]> => {
  const geo = createGeo({ cityDbs: config.geoipCityDbs, asnDbs: config.geoipAsnDbs, log })
  await geo.start()
  const sources = geo.sources()
  await geo.stop()
  return sources.map(({ path, kind, type, buildDate, problem, bundled }) => {
    const part = `geo ${kind}`
    if (problem) return failed(part, `${path}: ${problem}`, `mend it or set GEOIP_${kind.toUpperCase()}_DB`)
    const days = buildDate ? Math.floor((Date.now() - buildDate.getTime()) / DAY_MS) : 0
    const what = `${type}, ${days} days old${bundled ? ', bundled' : ''}`
    if (days <= OLD_DATABASE_DAYS) return ok(part, what)
    return warning(part, what, bundled ? `newer: npm update, or set GEOIP_${kind.toUpperCase()}_DB` : `renew ${path}`)
  })
}

/** Those of an operator's own, as the service that runs here was told of them. */
const checkDetectors = async (config: Config, log: Log): Promise<Finding[]> => {
  const folder = config.detectorsDir ?? (await readPlace(config)).detectorsDir
  if (folder === undefined) return []
  try {
    const own = [...(await readDetectors(folder)).values()].filter((file) => file.own)
    const problems = await problemsOf(config, own, log)
    if (problems.length === 0) return [ok('detectors', `${own.length} own in ${folder}`)]
    return problems.map(({ path, problem }) =>
      failed('detectors', `${path}: ${problem}`, 'mend the file; the hourly job passes over it meanwhile'),
    )
  } catch (error) {
    return [failed('detectors', messageOf(error), 'mend it, or the service will not start again')]
  }
}

/** What ClickHouse has against them; where it does not answer, that is told by a line of its own. */
const problemsOf = async (config: Config, own: readonly DetectorFile[], log: Log) => {
  const { clickhouseUrl: url, dataDir } = config
  const clickhouse = await createClickHouse({ url, dataDir, log, role: 'attach' }).catch(() => undefined)
  if (!clickhouse) return []
  try {
    const found: { path: string; problem: string }[] = []
    for (const file of own) {
      const problem = await checkDetectorFile(clickhouse, file).catch(() => undefined)
      if (problem !== undefined) found.push({ path: file.path, problem })
    }
    return found
  } finally {
    await clickhouse.close()
  }
}

const checkSpool = async (config: Config): Promise<Finding[]> => {
  const quarantined = await listQuarantine(config.dataDir)
  if (quarantined.length === 0) return [ok('quarantine', 'empty')]
  return quarantined.map(({ table, id, rows, reason }) =>
    failed(
      'quarantine',
      `${rows} rows of ${table} in ${id}: ${reason}`,
      `mend the reason, then: vedette spool replay ${id}`,
    ),
  )
}

/** `vedette doctor` */
export const doctor = (program: Command): void => {
  program
    .command('doctor')
    .description('look at each part: what, state, what to do; exit code 1 if one has failed')
    .option('--json', 'print it as JSON')
    .action(async (options: { json?: true }) => {
      const config = loadConfig()
      const log = commandLog(config)
      const findings = [
        ...(await checkService(config)),
        ...(await checkDisk(config)),
        ...(await checkClickHouse(config, log)),
        ...(await checkRedis(config, log)),
        ...(await checkGeo(config, log)),
        ...(await checkDetectors(config, log)),
        ...(await checkSpool(config)),
        ...(await checkJobs(config)),
        ...(await checkBackups(config)),
      ]
      if (options.json) json(findings)
      else {
        const width = Math.max(...findings.map(({ part }) => part.length))
        for (const { part, state, what, remedy } of findings) {
          out(`${{ ok: 'ok     ', warning: 'warning', failed: 'FAILED ' }[state]}  ${part.padEnd(width)}  ${what}`)
          if (remedy) out(`${' '.repeat(width + 11)}→ ${remedy}`)
        }
      }
      if (findings.some(({ state }) => state === 'failed')) process.exitCode = 1
    })
}
