import { createPrivateKey } from 'node:crypto'
import { readFileSync } from 'node:fs'

import { createTransport } from 'nodemailer'

import { ConfigError } from '../../config.ts'
import type { Dkim, Mail } from './types.ts'

export interface Message {
  from: string
  to: string
  /** As it goes to the mail server, and into the outbox. */
  bytes: Buffer
}

export interface Composer {
  compose: (mail: Mail) => Promise<Message>
}

const LONGEST_SUBJECT = 250

/** Control characters end headers; format characters (such as right-to-left marks) turn what follows them around. */
const asHeader = (text: string): string =>
  text
    .replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
    .replaceAll(/\p{Cf}/gu, '')
    .trim()
    .slice(0, LONGEST_SUBJECT)

const keyOf = ({ keyFile }: Dkim): string => {
  try {
    const pem = readFileSync(keyFile, 'utf8')
    createPrivateKey(pem)
    return pem
  } catch (error) {
    throw new ConfigError(`DKIM_KEY_FILE is ${JSON.stringify(keyFile)}; allowed is the path of a private key in PEM`, {
      cause: error,
    })
  }
}

/**
 * Makes the bytes of mails.
 * @param mailFrom an address, or `Name <address>`
 * @throws {ConfigError} DKIM_KEY_FILE holds no key
 */
export const createComposer = ({ mailFrom, dkim }: { mailFrom: string; dkim: Dkim | undefined }): Composer => {
  const writer = createTransport({
    streamTransport: true,
    buffer: true,
    newline: 'windows',
    // Nothing in a mail is to be fetched from anywhere.
    disableFileAccess: true,
    disableUrlAccess: true,
    ...(dkim ? { dkim: { domainName: dkim.domain, keySelector: dkim.selector, privateKey: keyOf(dkim) } } : {}),
  })
  const from = /<([^<>]+)>$/.exec(mailFrom)?.[1] ?? mailFrom
  const domain = from.slice(from.lastIndexOf('@') + 1)

  return {
    compose: async ({ id, to, date, rendered, list }) => {
      const { message } = await writer.sendMail({
        from: mailFrom,
        to: { name: '', address: to },
        envelope: { from, to: [to] },
        subject: asHeader(rendered.subject),
        messageId: `<${id}@${domain}>`,
        date,
        text: rendered.text,
        ...(rendered.html === '' ? {} : { html: rendered.html }),
        headers: {
          'Auto-Submitted': 'auto-generated',
          // Exchange answers with "out of office" all the same without it.
          'X-Auto-Response-Suppress': 'All',
          ...(list
            ? {
                'List-Id': { prepared: true, value: `<${list.id}.reports.${domain}>` },
                'List-Unsubscribe': { prepared: true, value: `<${list.unsubscribeUrl}>` },
                'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
              }
            : {}),
        },
        attachments: [
          ...(rendered.html === '' ? [] : rendered.images).map(({ cid, filename, png }) => ({
            cid,
            filename,
            content: png,
            contentType: 'image/png',
            contentDisposition: 'inline' as const,
          })),
          ...rendered.attachments.map(({ filename, type, content }) => ({
            filename,
            content: Buffer.from(content),
            contentType: type,
          })),
        ],
      })
      return { from, to, bytes: message as Buffer }
    },
  }
}
