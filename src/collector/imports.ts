import type { FastifyRequest } from 'fastify'

import { mayUse, type Principal, problem } from '../http/index.ts'
import type { Mark, Spool } from '../spool/index.ts'

/** A file that was read for a service, for ever known by how it begins. */
export interface Import {
  /** How many bytes of the beginning `fingerprint` covers: 4,096, or fewer for a file that was shorter. */
  prefixBytes: number
  /** SHA-256 of them, base64url. */
  fingerprint: string
  /** Bytes of the file that are in. */
  offset: number
}

/** A piece of a file: it is taken only where the last one ended. */
export interface Piece {
  name: string
  from: number
  after: Mark
}

const HEADER = 'vedette-import'
const FORM = /^(\d{1,4})-([\w-]{43}):(\d{1,15})-(\d{1,15})$/
const markName = (service: string, prefixBytes: string | number, fingerprint: string): string =>
  `import:${prefixBytes}:${fingerprint}:${service}`

/**
 * `Vedette-Import: PREFIX_BYTES-SHA256:FROM-TO`: the body is bytes FROM to TO of that file.
 * @throws {Problem} 400
 */
export const markOf = (request: FastifyRequest): Piece | undefined => {
  const given = request.headers[HEADER]
  if (given === undefined) return undefined
  const [, prefixBytes, fingerprint, from, to] = FORM.exec(String(given)) ?? []
  const service = (request.query as { service?: string }).service ?? ''
  if (prefixBytes === undefined || Number(prefixBytes) > 4096 || Number(from) >= Number(to)) {
    throw problem(400, {
      detail: `Vedette-Import is ${JSON.stringify(given)}; allowed is PREFIX_BYTES-SHA256:FROM-TO, such as 4096-…:0-1048576.`,
    })
  }
  const name = markName(service, prefixBytes, fingerprint!)
  return { name, from: Number(from), after: { name, offset: Number(to) } }
}

/**
 * Log files hold equal lines, so what was read is known by its place in the file and not by its content. The mark lies in
 * the same record as the rows: both are there or neither.
 */
export const createImports = (journal: Pick<Spool['journal'], 'mark' | 'marks'>) => {
  const working = new Set<string>()
  return {
    /** @throws {Problem} 409 with `offset`: how far the file is in */
    inOrder: async <T>({ name, from }: Piece, work: () => Promise<T>): Promise<T> => {
      const offset = journal.mark(name)
      if (working.has(name) || from !== offset) {
        throw problem(409, {
          detail: working.has(name)
            ? 'Another piece of this file is being taken.'
            : `The file is in up to byte ${offset}; this piece begins at ${from}.`,
          extensions: { offset },
        })
      }
      working.add(name)
      try {
        return await work()
      } finally {
        working.delete(name)
      }
    },
    of: (principal: Principal, service: string): Import[] => {
      if (service !== '' && !mayUse(principal, service)) return []
      return journal.marks().flatMap(({ name, offset }) => {
        const [kind, prefixBytes, fingerprint, ...rest] = name.split(':')
        return kind === 'import' && rest.join(':') === service
          ? [{ prefixBytes: Number(prefixBytes), fingerprint: fingerprint!, offset }]
          : []
      })
    },
  }
}

export type Imports = ReturnType<typeof createImports>
