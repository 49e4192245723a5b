/** Owns the embedded engine of the folder it is given, tells its parent when the engine answers, and stays until it is killed. */
import pino from 'pino'

import { createClickHouse } from '../../src/clickhouse/index.ts'

await createClickHouse({ dataDir: process.argv[2]!, log: pino({ level: 'silent' }) })
process.send?.('ready')
