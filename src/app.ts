import { writeFile, rm, mkdir } from 'node:fs/promises'
import { join } from 'node:path'

import type { Registry } from 'prom-client'

import { createAnalytics, createIpLogs } from './analytics/index.ts'
import { createBackupJob } from './backup/index.ts'
import { type ClickHouse, ClickHouseError, createClickHouse, migrate } from './clickhouse/index.ts'
import { createCollector, REQUEST_LOGS } from './collector/index.ts'
import type { Config } from './config.ts'
import { createDashboard } from './dashboard/index.ts'
import { addressesTold, createDetection, createSuspiciousIpsRoute } from './detection/index.ts'
import { createDiskWatch } from './disk/index.ts'
import { createGeo, type Geo } from './geo/index.ts'
import { createGraphql } from './graphql/index.ts'
import { createHealth, createHttpServer, createMetrics, type Log } from './http/index.ts'
import { createJobs, type Jobs } from './jobs/index.ts'
import { createGuards, createLimiter, createProtection, DECISIONS, type Protection } from './ratelimit/index.ts'
import { createRedis, type Redis } from './redis/index.ts'
import { createIncidents, createReports } from './reports/index.ts'
import { applyRetention, createRetention, type RetentionDays, retentionOf } from './retention/index.ts'
import { createRollups } from './rollups/index.ts'
import { createSchedule } from './schedule.ts'
import { loadSecret } from './secret.ts'
import { createRefusedKeys, createSecurityLog } from './securitylog/index.ts'
import { createSpool, type Spool, spoolFolder } from './spool/index.ts'
import { type ApiKeys, createApiKeys } from './store/index.ts'

export interface App {
  url: string
  clickhouse: ClickHouse
  keys: ApiKeys
  geo: Geo
  spool: Spool
  policies: Protection['policies']
  blockList: Protection['blockList']
  jobs: Jobs
  /** The secret of a first admin key made just now, to be shown once. */
  firstAdminKey: string | undefined
  /** In order, within a deadline: not ready, no new connections, seal and flush, ClickHouse, Redis. */
  stop: () => Promise<void>
}

const FLUSH_GRACE_MS = 10_000
const LONGEST_WAIT_MS = 30_000

/** It may be well in a moment; whatever else went wrong, waiting does not mend it. */
const isAway = (error: unknown): error is ClickHouseError =>
  error instanceof ClickHouseError && ['unavailable', 'overloaded', 'timeout'].includes(error.kind)

/** ClickHouse may be away when the service starts: the collector takes rows all the same, and the tables are made when it is back. */
const migrateWhenThere = (
  clickhouse: ClickHouse,
  { retention, log, stopping }: { retention: RetentionDays; log: Log; stopping: AbortSignal },
) => {
  const attempt = async (): Promise<void> => {
    await migrate(clickhouse, { log })
    await applyRetention(clickhouse, retention)
  }
  const later = async (): Promise<void> => {
    for (let waitMs = 250; !stopping.aborted; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
      try {
        return await attempt()
      } catch (error) {
        if (!isAway(error)) throw error
        log.warn({ reason: error.message, waitMs }, 'ClickHouse is away; its tables will be looked at when it is back')
        const timer = Promise.withResolvers<void>()
        const timeout = setTimeout(timer.resolve, waitMs)
        stopping.addEventListener('abort', () => timer.resolve(), { once: true })
        await timer.promise
        clearTimeout(timeout)
      }
    }
  }
  return { attempt, later }
}

/** Puts the rooms together and starts them. @throws {Error} with the way out */
export const startApp = async (config: Config, log: Log): Promise<App> => {
  const undo: (() => Promise<void> | void)[] = []
  const stop = async (): Promise<void> => {
    for (let step = undo.pop(); step; step = undo.pop()) await step()
  }
  try {
    return await start(config, log, undo, stop)
  } catch (error) {
    await stop()
    throw error
  }
}

const start = async (
  config: Config,
  log: Log,
  undo: (() => Promise<void> | void)[],
  stop: () => Promise<void>,
): Promise<App> => {
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 })
  const metrics = createMetrics()
  const { registry } = metrics
  const diskWatch = createDiskWatch({ folder: config.dataDir, log, registry })
  diskWatch.start()
  undo.push(() => diskWatch.stop())
  const health = createHealth({ log })
  const stopping = new AbortController()

  const securityLog = createSecurityLog({ dataDir: config.dataDir, log, registry })
  undo.push(() => securityLog.stop())
  const refusedKeys = createRefusedKeys({ securityLog })
  undo.push(() => refusedKeys.stop())

  const redis = createRedis(config.redisUrls, { log })
  undo.push(() => redis.stop())
  const limiter = createLimiter({ redis, log, registry })
  const guards = createGuards(limiter)
  await redis.start()

  const clickhouse = await createClickHouse({ url: config.clickhouseUrl, dataDir: config.dataDir, log })
  undo.push(() => clickhouse.close())
  undo.push(() => stopping.abort())
  const tables = migrateWhenThere(clickhouse, { retention: retentionOf(config), log, stopping: stopping.signal })
  let tablesReady = false
  await tables.attempt().then(
    () => {
      tablesReady = true
    },
    (error: unknown) => {
      if (!isAway(error)) throw error
    },
  )

  const keys = createApiKeys({ clickhouse, redis, log, dataDir: config.dataDir, adminKey: config.adminKey })
  undo.push(() => keys.stop())
  const { firstAdminKey } = await keys.start()

  const geo = createGeo({ cityDbs: config.geoipCityDbs, asnDbs: config.geoipAsnDbs, log, metrics: registry })
  undo.push(() => geo.stop())
  await geo.start()

  const spool = await createSpool({
    folder: spoolFolder(config.dataDir),
    tables: [REQUEST_LOGS, DECISIONS],
    maxBytes: config.spoolMaxBytes,
    clickhouse,
    registry,
    log,
  })
  undo.push(() => spool.stop(FLUSH_GRACE_MS))
  const beginInserting = (): void => {
    tablesReady = true
    spool.start()
  }
  if (tablesReady) beginInserting()
  else {
    tables.later().then(beginInserting, (error: unknown) => {
      log.fatal(
        { err: error },
        'the tables cannot be made; rows stay in the spool until this is mended and the service restarted',
      )
    })
  }

  const protection = createProtection({
    clickhouse,
    redis,
    spool,
    limiter,
    securityLog,
    authenticate: keys.authenticate,
    onRefusedKey: refusedKeys.note,
    registry,
    log,
    dataDir: config.dataDir,
    trustedProxies: config.trustedProxies,
    policyFile: config.policyFile,
  })
  undo.push(() => protection.stop())
  await protection.start()
  const { policies, blockList } = protection

  const detection = await createDetection({ ...config, clickhouse, redis, blockList, registry, log })
  undo.push(() => detection.stop())
  await detection.start()
  const { suspicious } = detection
  const { anonymiseAfterDays: afterDays, anonymiseBy: by } = config
  const secret = await loadSecret(config.dataDir, config.secret)
  const anonymising = afterDays === undefined ? undefined : { afterDays, by, secret }
  const runsJobs = config.roles.has('jobs')
  const jobs = createJobs({
    clickhouse,
    redis,
    log,
    registry,
    jobs: createSchedule({
      clickhouse,
      rollups: createRollups({ clickhouse, log }),
      detection,
      retention: createRetention({
        clickhouse,
        log,
        anonymising,
        recordsForDays: Math.max(config.findingRetentionDays, config.retentionDays) + 2,
      }),
      backup: runsJobs ? backupOf(config, { clickhouse, redis, registry, log }) : undefined,
      dataDir: config.dataDir,
      settleSeconds: config.settleSeconds,
    }),
    runsJobs,
  })
  undo.push(() => jobs.stop())
  await jobs.start()

  const analytics = createAnalytics({
    clickhouse,
    oldestPending: () => oldestPending(spool),
    addressesTold,
  })
  const reports = createReports({
    clickhouse,
    redis,
    registry,
    log,
    dataDir: config.dataDir,
    analytics,
    suspicious,
    detectorQueries: detection.queries,
    jobs,
    policyName: (id) => policies.get(id)?.name,
    attributions: () => geo.attributions(),
    mail: config,
    secret,
    publicUrl: config.publicUrl,
    sends: runsJobs,
  })
  undo.push(() => reports.stop())
  await reports.start()
  const { deliveries } = reports
  const incidents = createIncidents({
    ...config,
    notices: reports.notices,
    subscriptions: reports.subscriptions,
    redis,
    registry,
    log,
    jobs,
    suspicious,
    deliveries,
    sends: runsJobs,
  })
  undo.push(() => incidents.stop())
  incidents.start()

  health.register({
    name: 'clickhouse',
    check: (signal) => clickhouse.ping(signal),
    required: !config.roles.has('collector'),
  })
  health.register({
    name: 'tables',
    required: !config.roles.has('collector'),
    check: () =>
      tablesReady ? Promise.resolve() : Promise.reject(new Error('the tables have not been looked at yet')),
  })
  if (redis.shared) health.register({ name: 'redis', check: () => redis.ping(), required: false })
  health.register({
    name: 'spool',
    check: () => {
      const { bytes, maxBytes, obstacle } = spool.state()
      return bytes < maxBytes
        ? Promise.resolve()
        : Promise.reject(new Error(`the spool is full (${bytes} bytes): ${obstacle ?? 'ClickHouse is slow'}`))
    },
  })

  const http = createHttpServer({
    host: config.host,
    port: config.port,
    log,
    trustedProxies: config.trustedProxies,
    authenticate: keys.authenticate,
    health,
    metrics,
    onRefusedKey: refusedKeys.note,
    countFailedKey: guards.countFailedKey,
  })
  if (config.roles.has('collector'))
    createCollector({
      spool,
      geo,
      redis,
      registry,
      maskQuery: config.maskQuery,
      countPost: guards.countPost,
      log,
    }).routes(http.app)
  if (config.roles.has('decide')) {
    protection.routes(http.app)
    http.direct(protection.decide.path, protection.decide.handle)
  }
  if (config.roles.has('api')) {
    createGraphql({
      analytics,
      keys,
      policies,
      blockList,
      jobs,
      reports,
      detection: detection.queries,
      suspicious,
      spendPoints: guards.spendPoints,
      log,
    }).routes(http.app)
    createSuspiciousIpsRoute({
      suspicious,
      detectors: detection.queries.detectors,
      publicUrl: config.publicUrl,
    }).routes(http.app)
    createIpLogs({ analytics, publicUrl: config.publicUrl }).routes(http.app)
    reports.unsubscribe.routes(http.app)
    reports.pages.routes(http.app)
    createDashboard({ attributions: () => geo.attributions() }).routes(http.app)
  }
  undo.push(() => http.stop())
  const { url } = await http.start()

  // Commands beside this service find it by this file.
  const place = join(config.dataDir, 'service.json')
  await writeFile(
    place,
    `${JSON.stringify({ url, pid: process.pid, trustedProxies: config.trustedProxies, detectorsDir: config.detectorsDir }, undefined, 2)}\n`,
    { mode: 0o600 },
  )
  undo.push(() => rm(place, { force: true }))
  log.info({ url, roles: [...config.roles] }, 'listening')
  return { url, clickhouse, keys, geo, spool, policies, blockList, jobs, firstAdminKey, stop }
}

/** Scheduled back-ups, where there is a folder for them. */
const backupOf = (
  { backupDir, backupSchedule: schedule, backupKeep: keep, dataDir }: Config,
  stores: { clickhouse: ClickHouse; redis: Redis; registry: Registry; log: Log },
) =>
  backupDir === undefined
    ? undefined
    : { folder: backupDir, job: createBackupJob({ ...stores, dataDir }, { folder: backupDir, schedule, keep }) }

const oldestPending = (spool: Spool): Date | undefined => {
  const { rows, oldestAgeSeconds } = spool.state()
  return rows > 0 ? new Date(Date.now() - oldestAgeSeconds * 1000) : undefined
}
