import { Readable } from 'node:stream'

import SMTPConnection, { type SMTPConnectionOptions, type SMTPError } from 'nodemailer/lib/smtp-connection'

import type { Message } from './message.ts'
import type { MailSettings } from './types.ts'

/**
 * - `taken`: the server has it
 * - `refused`: for good
 * - `later`: it is not taken, and may be another time
 * - `session`: as `later`, but it was not this mail that the server disliked: it is away, or our login is wrong
 * - `unknown`: the message went out whole, and no answer came
 * - `left`: `mayEnd` said no, or the signal came in time; nothing was taken
 */
export type Outcome = 'taken' | 'refused' | 'later' | 'session' | 'unknown' | 'left'

export interface Answer {
  outcome: Outcome
  /** What the server said, or what went wrong. */
  reason: string
}

export interface HandOver {
  /**
   * Asked when all of the message is on its way but its end, without which no server takes it. True: the end is sent, and from then
   * on it is the server's.
   */
  mayEnd: () => Promise<boolean>
  /** Aborted: leaves, if the end is not sent yet. */
  signal: AbortSignal
  /** Aborted: leaves in any case. */
  cut: AbortSignal
}

export interface SmtpTimes {
  /** From connecting until the end of the message may be sent. */
  sendMs: number
  /** For the answer to the whole message; servers that look for viruses take their time. */
  answerMs: number
}

/** RFC 5321 (4.5.3.2) has two to five minutes for each of these steps; after ten without an answer it is taken as lost. */
export const SMTP_TIMES: SmtpTimes = { sendMs: 120_000, answerMs: 600_000 }

const SLICE = 32 * 1024

/** The bytes, and their end only once `mayEnd` allows it. */
const withheldEnd = (bytes: Buffer, mayEnd: () => Promise<boolean>): Readable => {
  let from = 0
  return new Readable({
    highWaterMark: SLICE,
    read() {
      if (from < bytes.length) {
        this.push(bytes.subarray(from, (from += SLICE)))
        return
      }
      mayEnd().then(
        (may) => {
          if (may) this.push(null)
          else this.destroy(new Error('its end was not to be sent'))
        },
        (error: Error) => this.destroy(error),
      )
    },
  })
}

/** Codes of nodemailer for what is wrong with the mail itself, without the server having said so. */
const OUR_FAULTS = new Set(['EENVELOPE', 'EMESSAGE'])
/** Commands that speak of one mail; what fails before them speaks of the session. */
const OF_THE_MAIL = /^(MAIL FROM|RCPT TO|DATA)/

const judge = (error: SMTPError, ended: boolean): Outcome => {
  const ofTheMail = ended || OF_THE_MAIL.test(error.command ?? '')
  const said = error.responseCode
  if (said !== undefined && ofTheMail) return said >= 500 ? 'refused' : 'later'
  if (ended) return 'unknown'
  if (said === undefined && OUR_FAULTS.has(error.code ?? '')) return 'refused'
  return error.code === 'EAUTH' ? 'session' : 'later'
}

const reasonOf = ({ code, message }: SMTPError): string => {
  if (code === 'ETLS') return `${message}; mails go by TLS alone unless SMTP_TLS is off`
  // There is one recipient.
  return message.replace(/^Can't send mail - all recipients were rejected: /, '')
}

export type Smtp = (message: Message, handOver: HandOver) => Promise<Answer>

/**
 * One message, one recipient, one connection. nodemailer's transports tell neither when the end of a message goes out nor whether it
 * did when something fails, and both decide whether a mail may be sent again; so this is one floor below them.
 * @param tls more for TLS, such as `ca`
 */
export const createSmtp = (
  settings: Pick<MailSettings, 'smtpTls'> & { smtpUrl: string },
  times: SmtpTimes = SMTP_TIMES,
  tls: SMTPConnectionOptions['tls'] = {},
): Smtp => {
  const url = new URL(settings.smtpUrl)
  const secure = url.protocol === 'smtps:'
  const options: SMTPConnectionOptions = {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? (secure ? 465 : 587) : Number(url.port),
    secure,
    requireTLS: settings.smtpTls === 'required' && !secure,
    ignoreTLS: settings.smtpTls === 'off',
    connectionTimeout: times.sendMs,
    greetingTimeout: times.sendMs,
    // Ours count; this one comes after them.
    socketTimeout: times.sendMs + times.answerMs,
    socketCloseTimeout: 1_000,
    tls,
  }
  const auth =
    url.username === '' ? undefined : { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) }

  return ({ from, to, bytes }, { mayEnd, signal, cut }) =>
    new Promise((resolve) => {
      const connection = new SMTPConnection(options)
      let over = false
      let ended = false
      let timer: NodeJS.Timeout

      const settle = (answer: Answer): void => {
        if (over) return
        over = true
        clearTimeout(timer)
        signal.removeEventListener('abort', leave)
        cut.removeEventListener('abort', leave)
        if (answer.outcome === 'taken') connection.quit()
        else connection.close()
        resolve(answer)
      }
      const fail = (error: SMTPError): void => settle({ outcome: judge(error, ended), reason: reasonOf(error) })
      const leave = (): void => {
        if (!ended) settle({ outcome: 'left', reason: 'the sender stopped' })
        else if (cut.aborted) settle({ outcome: 'unknown', reason: 'the sender stopped before the answer' })
      }
      const within = (ms: number, what: string): void => {
        clearTimeout(timer)
        timer = setTimeout(
          () => settle({ outcome: ended ? 'unknown' : 'later', reason: `no ${what} within ${ms / 1000} s` }),
          ms,
        )
      }

      const end = async (): Promise<boolean> => {
        // What happened while asking decides too: a connection that is lost by now has not got the end.
        const may = await mayEnd()
        if (over) return false
        if (!may) {
          settle({ outcome: 'left', reason: 'it is in other hands' })
          return false
        }
        ended = true
        within(times.answerMs, 'answer to the whole message')
        return true
      }
      const send = (): void => {
        if (over) return
        const envelope = { from, to: [to], size: bytes.length }
        connection.send(envelope, withheldEnd(bytes, end), (error, info) =>
          error ? fail(error) : settle({ outcome: ended ? 'taken' : 'unknown', reason: info?.response ?? '' }),
        )
      }

      within(times.sendMs, 'progress')
      signal.addEventListener('abort', leave, { once: true })
      cut.addEventListener('abort', leave, { once: true })
      connection.on('error', fail)
      connection.on('end', () => fail(new Error('the connection ended')))
      connection.connect((error) => {
        if (error) return fail(error)
        if (auth) connection.login(auth, (refused) => (refused ? fail(refused) : send()))
        else send()
      })
      if (signal.aborted) leave()
    })
}
