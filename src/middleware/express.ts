import type { IncomingMessage, ServerResponse } from 'node:http'

import type { Exchanges } from './exchange.ts'
import type { Gate } from './gate.ts'
import { refuse } from './respond.ts'

export type NextFunction = (error?: unknown) => void
export type ExpressHandler = (request: IncomingMessage, response: ServerResponse, next: NextFunction) => void

/** For `app.use` of Express 4 and 5, and of whatever else takes (request, response, next). */
export const expressHandler =
  <R>(exchanges: Exchanges<R>, gate: Gate<R> | undefined): ExpressHandler =>
  (request, response, next) => {
    const exchange = exchanges.begin(request, response, request as R, '')
    if (!exchange || !gate) {
      next()
      return
    }
    gate(exchange, (passage) => {
      if (passage.denial) return refuse(response, passage.denial)
      for (const [name, value] of passage.headers) response.setHeader(name, value)
      next()
    })
  }
