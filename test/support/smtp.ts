import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

import { type ParsedMail, simpleParser } from 'mailparser'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'

/**
 * What the server does with a mail:
 * - `accept`
 * - a code (451, 550, …) at `RCPT TO`, or at the end of the message
 * - hangs (at `RCPT TO`) or drops the connection (in the message) before the end of the message, or after it, without an answer
 */
export type Behaviour =
  | 'accept'
  | { refuse: number; at: 'recipient' | 'end' }
  | 'hang before end'
  | 'hang after end'
  | 'drop before end'
  | 'drop after end'

export interface Received {
  to: string
  bytes: Buffer
  /** Undefined: none was given. */
  answer: number | undefined
}

export interface TestSmtp {
  url: string
  /** Whole messages, whether they were answered or not, in order. */
  received: Received[]
  /** Messages that were answered with 250. */
  accepted: Received[]
  /** Decides for each attempt at a recipient, the first being 1. Default: accepts all. */
  behave: (to: string, attempt: number) => Behaviour
  /** Connections that were dropped on purpose. */
  dropped: number
  parse: (index?: number) => Promise<ParsedMail>
  stop: () => Promise<void>
}

const failure = (code: number): Error => Object.assign(new Error(`refused with ${code}`), { responseCode: code })

/** To a whole message. */
const answerOf = (behaviour: Behaviour): number | undefined => {
  if (typeof behaviour === 'object') return behaviour.refuse
  return behaviour === 'accept' ? 250 : undefined
}

/** A real mail server on a free port, in clear unless `options` say otherwise. */
export const startSmtp = async (options: SMTPServerOptions = {}): Promise<TestSmtp> => {
  const attempts = new Map<string, number>()
  /** Of each session, what is done with its one mail. */
  const plans = new Map<string, { to: string; behaviour: Behaviour }>()
  const cut = (id: string): void => {
    for (const connection of server.connections) {
      const { session, _socket: socket } = connection as unknown as {
        session: { id: string }
        _socket: { destroy: () => void }
      }
      if (session.id === id) socket.destroy()
    }
    smtp.dropped++
  }

  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: options.key ? [] : ['STARTTLS'],
    closeTimeout: 100,
    ...options,
    onRcptTo: ({ address }, session, done) => {
      const attempt = (attempts.get(address) ?? 0) + 1
      attempts.set(address, attempt)
      const behaviour = smtp.behave(address, attempt)
      plans.set(session.id, { to: address, behaviour })
      if (typeof behaviour === 'object' && behaviour.at === 'recipient') done(failure(behaviour.refuse))
      else if (behaviour !== 'hang before end') done()
    },
    onData: (stream, session, done) => {
      const { to, behaviour } = plans.get(session.id)!
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      if (behaviour === 'drop before end') stream.once('data', () => cut(session.id))
      stream.on('end', () => {
        const mail: Received = { to, bytes: Buffer.concat(chunks), answer: answerOf(behaviour) }
        smtp.received.push(mail)
        if (behaviour === 'drop after end') cut(session.id)
        else if (typeof behaviour === 'object') done(failure(behaviour.refuse))
        else if (behaviour !== 'hang after end') {
          smtp.accepted.push(mail)
          done()
        }
      })
    },
  })
  server.on('error', () => {})

  const smtp: TestSmtp = {
    url: '',
    received: [],
    accepted: [],
    behave: () => 'accept',
    dropped: 0,
    parse: (index = 0) => simpleParser(smtp.received[index]!.bytes),
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  }
  const listening = server.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  smtp.url = `smtp://127.0.0.1:${(listening.address() as AddressInfo).port}`
  return smtp
}
