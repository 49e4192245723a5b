import pino from 'pino'

import { createClickHouse } from '../../src/clickhouse/index.ts'
import { openHourly } from './hourly.ts'

// Closes what hours there are on CLICKHOUSE_URL and ends; hourly.faults.ts kills it.
const log = pino({ level: 'silent' })
const clickhouse = await createClickHouse({ url: process.env['CLICKHOUSE_URL'], dataDir: '', log })
const { jobs, close } = await openHourly(clickhouse, log)
jobs.onChange(({ status }) => {
  if (status === 'RUNNING') console.log('at work')
})
await jobs.start()
await jobs.catchUp()
await close()
await clickhouse.close()
