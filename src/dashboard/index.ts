import type { FastifyInstance } from 'fastify'

import { page } from './page.ts'

/** `/`: where a person who opens the service's address finds the way on. */
export const createDashboard = ({
  attributions,
}: {
  attributions: () => string[]
}): { routes: (app: FastifyInstance) => void } => ({
  routes: (app) => {
    app.get('/', { config: { quiet: true } }, (_request, reply) =>
      reply
        .type('text/html; charset=utf-8')
        .header(
          'content-security-policy',
          "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        )
        .send(page(attributions())),
    )
  },
})
