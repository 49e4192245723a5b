import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import express from 'express'
import { fastify } from 'fastify'

import { createVedette, type Stats } from '../../src/middleware/index.ts'

/** A service as the bench measures it, in a process of its own: `KIND [URL KEY]`; without a URL it is bare. */
const [kind = '', url, key] = process.argv.slice(2)
const ANSWER = { id: 7, name: 'lantern', price: 19.9, inStock: true }

const vedette = url ? createVedette({ url, key: key!, service: `bench-${kind}` }) : undefined

const answer = (_request: IncomingMessage, response: ServerResponse): void => {
  const body = JSON.stringify(ANSWER)
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length })
  response.end(body)
}

const servers: Record<string, () => Promise<number>> = {
  http: () => listen(createServer(vedette ? vedette.http(answer) : answer)),
  express: () => {
    const app = express()
    if (vedette) app.use(vedette.express())
    app.get('/items/:id', (_request, response) => {
      response.json(ANSWER)
    })
    return listen(createServer(app))
  },
  fastify: async () => {
    const app = fastify()
    if (vedette) await app.register(vedette.fastify())
    app.get('/items/:id', () => ANSWER)
    await app.listen({ port: 0, host: '127.0.0.1' })
    return (app.server.address() as AddressInfo).port
  },
}

const listen = (server: ReturnType<typeof createServer>): Promise<number> =>
  new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })

export type Message = { port: number } | { stats: Stats | undefined }

const tell = (message: Message): void => {
  process.send!(message)
}

process.on('message', () => tell({ stats: vedette?.stats() }))
tell({ port: await servers[kind]!() })
