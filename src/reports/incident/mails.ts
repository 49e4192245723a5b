import type { Subscriptions } from '../subscriptions.ts'
import { noticeFor } from './notice.ts'
import type { Incident, IncidentMail } from './types.ts'

/**
 * Who gets an incident by mail: `to`, and the recipients of subscriptions that it touches the services of. Nobody twice: whoever is in several gets
 * the mail that tells most. Those who have unsubscribed from one stay in it, so that it is recorded that they were left out, and get it by another.
 */
export const mailsOf = (
  incident: Pick<Incident, 'notice' | 'evidence'>,
  to: readonly string[],
  { list, isUnsubscribed }: Pick<Subscriptions, 'list' | 'isUnsubscribed'>,
): IncidentMail[] => {
  const reached = new Set(to.map((address) => address.toLowerCase()))
  const isNew = (address: string): boolean => {
    const isKnown = reached.has(address.toLowerCase())
    reached.add(address.toLowerCase())
    return !isKnown
  }
  const subscriptions = list()
    .filter(({ kind, enabled }) => kind === 'INCIDENT' && enabled)
    .flatMap(({ id, services, recipients }) => {
      const only = services.length === 0 ? null : services
      const notice = noticeFor(incident, only)
      return notice ? [{ id, services: only, recipients, tells: notice.addressCount }] : []
    })
    .toSorted((a, b) => b.tells - a.tells || (a.id < b.id ? -1 : 1))
  const mails: IncidentMail[] = [
    { subscriptionId: null, services: null, recipients: to },
    ...subscriptions.map(({ id, services, recipients }) => ({
      subscriptionId: id,
      services,
      recipients: recipients.filter((address) => isUnsubscribed(id, address) || isNew(address)),
    })),
  ]
  return mails.filter(({ recipients }) => recipients.length > 0)
}
