import { createHash, randomUUID } from 'node:crypto'

import { type ClickHouse, type Sql, sql } from '../../clickhouse/index.ts'
import { gather } from './gather.ts'
import type { Delivery, DeliveryState, Mailing, Task } from './types.ts'

/**
 * Which of a task's rows counts, whatever the clocks of their writers say: that it was sent is never taken back, else the last
 * attempt, and of that what was known last.
 */
const NEWEST = sql`ORDER BY id, state = 'sent' DESC, attempt DESC, state DESC, recorded_at DESC, owner LIMIT 1 BY id`

/** Tasks are given up within a day; older ones that are open were left by a service that stood still. */
const LOOKED_BACK = sql`queued_at > now() - INTERVAL 30 DAY`

const COLUMNS = [
  'id',
  'report_id',
  'kind',
  'subscription_id',
  'recipient',
  'content',
  'attempt',
  'state',
  'owner',
  'queued_at',
  'due_at',
  'error',
  'recorded_at',
] as const

const FIELDS = sql`
  id, report_id AS reportId, kind, subscription_id AS subscription, recipient, content, attempt, toString(state) AS stored,
  toUnixTimestamp64Milli(queued_at) AS queuedAt, toUnixTimestamp64Milli(due_at) AS dueAt,
  toUnixTimestamp64Milli(recorded_at) AS recordedAt, error`

interface Row {
  id: string
  reportId: string
  kind: string
  subscription: string
  recipient: string
  content: string
  attempt: number
  stored: string
  queuedAt: number
  dueAt: number
  recordedAt: number
  error: string
}

const stateOf = ({ stored }: Row): DeliveryState => stored.toUpperCase() as DeliveryState

const taskOf = (row: Row): Task => ({
  id: row.id,
  mailing: {
    reportId: row.reportId,
    kind: row.kind,
    subscriptionId: row.subscription === '' ? null : row.subscription,
    content: JSON.parse(row.content) as unknown,
  },
  recipient: row.recipient,
  attempt: row.attempt,
  state: stateOf(row),
  queuedAt: new Date(row.queuedAt),
  dueAt: new Date(row.dueAt),
})

const deliveryOf = (row: Row): Delivery => {
  const { id, mailing, recipient, queuedAt } = taskOf(row)
  const state = stateOf(row)
  return {
    id,
    reportId: mailing.reportId,
    kind: mailing.kind,
    subscriptionId: mailing.subscriptionId,
    recipient,
    state,
    attempts: row.attempt - (state === 'QUEUED' || state === 'SUPPRESSED' ? 1 : 0),
    queuedAt,
    sentAt: state === 'SENT' ? new Date(row.recordedAt) : null,
    error: state === 'SENT' || row.error === '' ? null : row.error,
  }
}

export const deliveryId = (mailing: Mailing, recipient: string): string =>
  `dlv_${createHash('sha256')
    .update(JSON.stringify([mailing.reportId, mailing.subscriptionId, mailing.occasion ?? '', recipient]))
    .digest('base64url')
    .slice(0, 22)}`

/** Who wrote which state of which attempt. */
export interface Trace {
  attempt: number
  state: string
  owner: string
}

/**
 * Whether the one who has written `sending` may let the message go: it is alone in doing so, nobody has gone on to a later attempt, and
 * of each earlier attempt that came as far, the one who made it has said that it was not taken. Since each writes before it reads, of
 * two at most one may, lease or not.
 */
export const isAlone = (traces: readonly Trace[], attempt: number, owner: string): boolean => {
  const wrote = (state: string, at: number): string[] =>
    traces.filter((trace) => trace.state === state && trace.attempt === at).map((trace) => trace.owner)
  const earlier = traces.filter((trace) => trace.state === 'sending' && trace.attempt < attempt)
  return (
    traces.every((trace) => trace.attempt <= attempt && ['queued', 'sending'].includes(trace.state)) &&
    wrote('sending', attempt).length > 0 &&
    wrote('sending', attempt).every((other) => other === owner) &&
    earlier.every((trace) => wrote('queued', trace.attempt + 1).includes(trace.owner))
  )
}

export interface Change {
  task: Task
  state: DeliveryState
  /** Default: the task's. */
  attempt?: number
  dueAt?: Date
  error?: string
}

export interface DeliveryTable {
  /** @throws {ClickHouseError} */
  record: (changes: readonly Change[], signal?: AbortSignal) => Promise<void>
  /** As `record`, together with others that come meanwhile. @throws {ClickHouseError} */
  note: (change: Change) => Promise<void>
  /** The content as it is now: an address may have been forgotten since the task was read. Undefined: the task is gone. @throws {ClickHouseError} */
  contentOf: (task: Task) => Promise<{ content: unknown } | undefined>
  /** Writes `sending` and tells whether the message may go. @throws {ClickHouseError} */
  claim: (task: Task) => Promise<boolean>
  /** Queued and sending, those due first. @throws {ClickHouseError} */
  open: (limit: number, signal?: AbortSignal) => Promise<Task[]>
  /** @throws {ClickHouseError} */
  known: (reportId: string) => Promise<Set<string>>
  /** Of a report, by recipient, or the last of a subscription, newest first. @throws {ClickHouseError} */
  list: (filter: { reportId: string } | { subscriptionId: string; limit: number }) => Promise<Delivery[]>
}

const stamp = (date: Date): string => date.toISOString().slice(0, -1).replace('T', ' ')

/** @param owner tells this process from all others */
export const createDeliveryTable = (clickhouse: ClickHouse, owner: string): DeliveryTable => {
  const comment = 'deliveries'

  const lineOf = ({ task, state, attempt = task.attempt, dueAt = task.dueAt, error = '' }: Change): string =>
    `${JSON.stringify([
      task.id,
      task.mailing.reportId,
      task.mailing.kind,
      task.mailing.subscriptionId ?? '',
      task.recipient,
      JSON.stringify(task.mailing.content ?? null),
      attempt,
      state.toLowerCase(),
      owner,
      stamp(task.queuedAt),
      stamp(dueAt),
      error,
      stamp(new Date()),
    ])}\n`

  const record: DeliveryTable['record'] = async (changes, signal) => {
    if (changes.length === 0) return
    await clickhouse.insert({
      table: 'deliveries',
      columns: COLUMNS,
      rows: Buffer.from(changes.map(lineOf).join('')),
      deduplicationToken: `deliveries:${randomUUID()}`,
      signal,
    })
  }

  const select = async (query: Sql, signal?: AbortSignal): Promise<Row[]> =>
    (await clickhouse.query<Row>(query, { comment, signal })).rows

  return {
    record,
    note: gather(async (changes: readonly Change[]) => {
      await record(changes)
      return changes.map(() => undefined)
    }),
    contentOf: gather(async (tasks: readonly Task[]) => {
      const reports = [...new Set(tasks.map(({ mailing }) => mailing.reportId))]
      const { rows } = await clickhouse.query<{ id: string; attempt: number; content: string }>(
        sql`SELECT id, attempt, content FROM deliveries
          WHERE report_id IN ${reports} AND id IN ${tasks.map(({ id }) => id)} AND state = 'queued'`,
        { comment },
      )
      return tasks.map((task) => {
        const row = rows.find(({ id, attempt }) => id === task.id && attempt === task.attempt)
        return row && { content: JSON.parse(row.content) as unknown }
      })
    }),
    claim: gather(async (tasks: readonly Task[]) => {
      await record(tasks.map((task) => ({ task, state: 'SENDING' })))
      const reports = [...new Set(tasks.map(({ mailing }) => mailing.reportId))]
      const { rows } = await clickhouse.query<Trace & { id: string }>(
        sql`SELECT id, attempt, toString(state) AS state, owner FROM deliveries
          WHERE report_id IN ${reports} AND id IN ${tasks.map(({ id }) => id)}`,
        { comment },
      )
      return tasks.map(({ id, attempt }) =>
        isAlone(
          rows.filter((row) => row.id === id),
          attempt,
          owner,
        ),
      )
    }),
    open: async (limit, signal) => {
      // Without `content`, which makes up most of a row, where most rows are of tasks that are over.
      const newest = sql`SELECT id, report_id, attempt, state, due_at FROM deliveries WHERE ${LOOKED_BACK} ${NEWEST}`
      const rows = await select(
        sql`SELECT ${FIELDS} FROM deliveries
          WHERE ${LOOKED_BACK} AND (id, attempt, state) IN (
            SELECT id, attempt, state FROM (${newest}) WHERE state IN ('queued', 'sending') ORDER BY state DESC, due_at, id LIMIT ${limit})
          ORDER BY stored DESC, dueAt, id, recorded_at DESC, owner LIMIT 1 BY id`,
        signal,
      )
      return rows.map(taskOf)
    },
    known: async (reportId) => {
      const rows = await select(sql`SELECT DISTINCT id FROM deliveries WHERE report_id = ${reportId}`)
      return new Set(rows.map(({ id }) => id))
    },
    list: async (filter) => {
      const rows =
        'reportId' in filter
          ? await select(
              sql`SELECT ${FIELDS} FROM (SELECT * FROM deliveries WHERE report_id = ${filter.reportId} ${NEWEST}) ORDER BY recipient, queuedAt, id`,
            )
          : await select(
              sql`SELECT ${FIELDS} FROM (SELECT * FROM deliveries WHERE subscription_id = ${filter.subscriptionId} ${NEWEST}) ORDER BY queuedAt DESC, recordedAt DESC, id LIMIT ${filter.limit}`,
            )
      return rows.map(deliveryOf)
    },
  }
}
