import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv4 } from 'node:net'

import ipaddr from 'ipaddr.js'

/** What is known of a name: PTR names or addresses; or the server fails; or it says nothing. Other names do not exist. */
type Answer = readonly string[] | 'fails' | 'is silent'

export interface DnsServer {
  /** `address:port`, for `setServers`. */
  address: string
  /** By `PTR 192.0.2.1`, `A crawler.example`, `AAAA crawler.example`. */
  zone: Map<string, Answer>
  /** What was asked, as in `zone`. */
  asked: string[]
  close: () => Promise<void>
}

const TYPES: Record<number, string> = { 1: 'A', 12: 'PTR', 28: 'AAAA' }
const HEADER = 12

const encodeName = (name: string): Buffer =>
  Buffer.concat([
    ...name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
    Buffer.from([0]),
  ])

/** 1.2.0.192.in-addr.arpa → 192.0.2.1 */
const addressOf = (name: string): string => {
  const labels = name.split('.').slice(0, -2).reverse()
  return name.endsWith('.in-addr.arpa')
    ? labels.join('.')
    : ipaddr.parse(labels.join('').match(/.{4}/g)!.join(':')).toString()
}

const readQuestion = (message: Buffer): { name: string; type: string; end: number } => {
  const labels: string[] = []
  let at = HEADER
  for (let length = message[at++]!; length > 0; length = message[at++]!) {
    labels.push(message.toString('latin1', at, at + length).toLowerCase())
    at += length
  }
  return { name: labels.join('.'), type: TYPES[message.readUInt16BE(at)] ?? 'other', end: at + 4 }
}

const dataOf = (type: string, value: string): Buffer =>
  type === 'PTR'
    ? encodeName(value)
    : Buffer.from(isIPv4(value) ? ipaddr.IPv4.parse(value).octets : ipaddr.IPv6.parse(value).toByteArray())

const reply = (message: Buffer, type: string, end: number, answer: readonly string[] | 'fails' | undefined): Buffer => {
  const header = Buffer.from(message.subarray(0, HEADER))
  const records = Array.isArray(answer) ? answer : []
  header.writeUInt16BE(0x8180 | (answer === 'fails' ? 2 : answer === undefined ? 3 : 0), 2)
  header.writeUInt16BE(records.length, 6)
  header.writeUInt32BE(0, 8)
  const answers = records.map((value: string) => {
    const data = dataOf(type, value)
    // The name is that of the question, then type, class IN, a minute to live.
    const head = Buffer.concat([
      Buffer.from([0xc0, HEADER]),
      message.subarray(end - 4, end),
      Buffer.from([0, 0, 0, 60, 0, data.length]),
    ])
    return Buffer.concat([head, data])
  })
  return Buffer.concat([header, message.subarray(HEADER, end), ...answers])
}

/** A name server on a port of this machine that knows what the test tells it. */
export const startDnsServer = async (): Promise<DnsServer> => {
  const zone = new Map<string, Answer>()
  const asked: string[] = []
  const socket: Socket = createSocket('udp4')
  socket.on('message', (message, { address, port }) => {
    const { name, type, end } = readQuestion(message)
    const key = `${type} ${type === 'PTR' ? addressOf(name) : name}`
    asked.push(key)
    const answer = zone.get(key)
    if (answer !== 'is silent') socket.send(reply(message, type, end, answer), port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return {
    address: `127.0.0.1:${socket.address().port}`,
    zone,
    asked,
    close: async () => {
      socket.close()
      await once(socket, 'close')
    },
  }
}
