import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Registry } from 'prom-client'
import { afterEach } from 'vitest'

import { createRedis } from '../../src/redis/index.ts'
import {
  createDeliveries,
  type Deliveries,
  type DeliveriesDependencies,
  type Mailing,
} from '../../src/reports/deliver/index.ts'
import { silent, type TestDatabase } from '../support/clickhouse.ts'
import { mailing, PUBLIC_URL, rendered, SECRET } from './fixtures.ts'

export { mailing, PUBLIC_URL, rendered, SECRET }

export interface Started {
  deliveries: Deliveries
  /** Each time that a mail was made. */
  made: Mailing['content'][]
  dataDir: string
}

/** Deliveries on the test's database, stopped after the test. */
export const testDeliveries = (database: TestDatabase) => {
  const open: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const close of open.splice(0).toReversed()) await close()
  })
  return async ({
    smtpUrl,
    redisUrls = [],
    prefix = 'test:',
    dkim,
    smtpTls = 'off',
    subject,
    ...settings
  }: Partial<DeliveriesDependencies> &
    Partial<DeliveriesDependencies['mail']> & {
      redisUrls?: string[]
      prefix?: string
      subject?: string
    } = {}): Promise<Started> => {
    const dataDir = await mkdtemp(join(tmpdir(), 'vedette-mail-'))
    open.push(() => rm(dataDir, { recursive: true, force: true }))
    const redis = createRedis(redisUrls, { log: silent, prefix })
    await redis.start()
    open.push(() => redis.stop())
    const made: Mailing['content'][] = []
    const deliveries = createDeliveries({
      clickhouse: database.clickhouse,
      redis,
      log: silent,
      registry: new Registry(),
      dataDir,
      mail: { smtpUrl, smtpTls, mailFrom: 'Vedette <vedette@example.com>', dkim },
      secret: SECRET,
      publicUrl: PUBLIC_URL,
      render: ({ content }, { unsubscribeUrl }) => {
        made.push(content)
        return Promise.resolve(rendered(unsubscribeUrl, subject))
      },
      isUnsubscribed: () => false,
      sends: true,
      retryAfterMs: [50],
      smtpTimes: { sendMs: 10_000, answerMs: 10_000 },
      pollMs: 100,
      ...settings,
    })
    open.push(() => deliveries.stop(500))
    return { deliveries, made, dataDir }
  }
}
