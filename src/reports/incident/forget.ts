import type { Logger } from 'pino'

import { type ClickHouse, sql } from '../../clickhouse/index.ts'
import { type Address, parseAddress } from '../../ratelimit/index.ts'
import type { Redis } from '../../redis/index.ts'
import { createVersions } from '../../store/index.ts'
import { linkOf, noticeFor } from './notice.ts'
import { incidentsIn } from './notices.ts'
import type { Incident } from './types.ts'

/**
 * The notice as the others of it may keep it; counts stay, they name nobody. Undefined: nobody is left, or it tells of the address in
 * words. The same object: it has nothing of the address.
 */
export const without = (
  incident: Incident,
  { text, counted }: Pick<Address, 'text' | 'counted'>,
): Incident | undefined => {
  const isOther = (ip: string): boolean => parseAddress(ip)?.counted !== counted
  const { notice } = incident
  const told = incident.told.filter(isOther)
  const evidence = incident.evidence.filter(({ culprit }) => isOther(culprit.ip))
  const addresses = notice.addresses.filter(({ ip }) => isOther(ip))
  if (told.length === incident.told.length && evidence.length === incident.evidence.length) return incident
  if (addresses.length === 0) return undefined
  // What was asked for most may have been asked for by nobody else.
  const left = { ...notice, addresses, target: null, link: linkOf(addresses.map(({ ip }) => ip)) }
  const words = [...left.sightings.map(({ summary }) => summary), left.campaign?.summary ?? ''].join(' ')
  return words.includes(text) ? undefined : { ...incident, notice: left, told, evidence }
}

/**
 * Takes the address out of notices of incidents that tell of others too, and out of their mails, those that wait among them. Versions of
 * before, notices that nobody else is in, and their mails, are for `forget` to delete. Processes that hold notices see it with
 * their next poll, a sender before its next attempt.
 * @throws {StoreError} UNAVAILABLE
 * @throws {ClickHouseError}
 */
export const forgetInNotices = async (
  { clickhouse, redis, log }: { clickhouse: ClickHouse; redis: Redis; log: Logger },
  address: Pick<Address, 'text' | 'counted'>,
): Promise<void> => {
  const stored = createVersions<Incident>({ kind: 'incident', clickhouse, redis, log })
  await stored.refresh()
  for (const incident of incidentsIn(stored)) {
    const { id } = incident.notice
    const first = without(incident, address)
    if (first === undefined || first === incident) continue
    // Of the newest: a webhook may have been told meanwhile.
    const now = await stored.update(
      id,
      (current) => current?.value && (without(current.value, address) ?? current.value),
      { by: 'cli' },
    )
    for (const { subscriptionId, services } of now.value?.mails ?? []) {
      const content = noticeFor(now.value!, services)
      if (content)
        await clickhouse.command(
          sql`ALTER TABLE deliveries UPDATE content = ${JSON.stringify(content)} WHERE report_id = ${id} AND kind = 'INCIDENT' AND subscription_id = ${subscriptionId ?? ''}`,
          { comment: 'forget', maxExecutionSeconds: 3_600, settings: { mutations_sync: 2, log_queries: 0 } },
        )
    }
  }
}
