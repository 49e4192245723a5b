import type { Rendered } from '../types.ts'

/**
 * - `SENDING`: the end of the message is about to go out, or has, and the answer is not there yet
 * - `UNKNOWN`: the connection or the process was lost after that; nobody can tell whether it was taken, so it is not sent again
 * - `BOUNCED`: the mail server refused it for good (5xx)
 * - `FAILED`: given up, or it could not be sent at all
 * - `SUPPRESSED`: the recipient has unsubscribed
 */
export const DELIVERY_STATES = ['QUEUED', 'SENDING', 'UNKNOWN', 'FAILED', 'BOUNCED', 'SUPPRESSED', 'SENT'] as const
export type DeliveryState = (typeof DELIVERY_STATES)[number]

/** What is to be sent to some. */
export interface Mailing {
  reportId: string
  /** Such as DAILY or INCIDENT. */
  kind: string
  /** Null: asked for by hand, or by INCIDENT_TO, so that there is nothing to unsubscribe from. */
  subscriptionId: string | null
  /** What `render` makes the mail from, before and after a restart; what JSON can hold. */
  content: unknown
  /** Makes a mailing of the same report another one, such as a test. Absent: who has the report already gets no second. */
  occasion?: string
}

export interface Delivery {
  /** `dlv_` and what report, subscription and recipient make of it. */
  id: string
  reportId: string
  kind: string
  subscriptionId: string | null
  recipient: string
  state: DeliveryState
  /** Attempts that were begun and came to an end, or are under way past the point of no return. */
  attempts: number
  queuedAt: Date
  sentAt: Date | null
  /** Why it is not sent yet, and what happens next; or why it never will be. */
  error: string | null
}

/** A delivery as its sender sees it. */
export interface Task {
  id: string
  mailing: Mailing
  recipient: string
  attempt: number
  state: DeliveryState
  queuedAt: Date
  dueAt: Date
}

/** Makes the mail of a mailing: once for all its recipients, and again after a restart. `unsubscribeUrl` is put in for each of them. */
export type RenderMailing = (
  mailing: Pick<Mailing, 'reportId' | 'kind' | 'subscriptionId' | 'content'>,
  options: { unsubscribeUrl: string | undefined },
) => Promise<Rendered>

export interface Dkim {
  domain: string
  selector: string
  /** Path of a private key in PEM. */
  keyFile: string
}

export interface MailSettings {
  /** `smtp(s)://user:password@host:port`; undefined: mails go into `DATA_DIR/outbox`. */
  smtpUrl: string | undefined
  /** `required`: STARTTLS before anything else where the URL is not `smtps:`. */
  smtpTls: 'required' | 'off'
  /** An address, or `Name <address>`. */
  mailFrom: string
  dkim: Dkim | undefined
}

export interface Mail {
  id: string
  to: string
  date: Date
  rendered: Rendered
  list?: { id: string; unsubscribeUrl: string } | undefined
}
