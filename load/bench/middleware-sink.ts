import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A collector that takes everything and does nothing with it: what is measured against it is the middleware alone. */
const NEWLINE = 0x0a
const server = createServer((request, response) => {
  let rows = 0
  request.on('data', (chunk: Buffer) => {
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, at + 1)) rows++
  })
  request.on('end', () => response.writeHead(202).end(`{"accepted":${rows},"rejected":0}`))
})
server.listen(0, '127.0.0.1', () => process.send!({ port: (server.address() as AddressInfo).port }))
