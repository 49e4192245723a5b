import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, beforeAll } from 'vitest'

import { type App, startApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'
import { silent, type TestDatabase } from './clickhouse.ts'

export interface TestApp {
  readonly app: App
  readonly url: string
  /** The admin key. */
  readonly key: string
  readonly dataDir: string
  /** A request with the admin key, unless `headers` say otherwise. */
  request: (path: string, init?: RequestInit) => Promise<Response>
  /** A POST of rows to /v1/requests. */
  post: (
    rows: unknown,
    init?: { query?: string; headers?: Record<string, string> },
  ) => Promise<{ status: number; body: any; headers: Headers }>
}

export const temporaryFolder = (): Promise<string> => mkdtemp(join(tmpdir(), 'vedette-test-'))

/** The whole service in this process on the test file's own database. Call it at the top of the file, after `testDatabase`. */
export const testApp = (database: TestDatabase, environment: Record<string, string> = {}): TestApp => {
  let app: App | undefined
  let dataDir = ''
  let key = ''
  beforeAll(async () => {
    dataDir = await temporaryFolder()
    app = await startApp(
      loadConfig({ DATA_DIR: dataDir, PORT: '0', CLICKHOUSE_URL: database.url, ...environment }),
      silent,
    )
    key = (await readFile(join(dataDir, 'admin-key'), 'utf8')).trim()
  })
  afterAll(async () => {
    await app?.stop()
    await rm(dataDir, { recursive: true, force: true })
  })
  const ready = (): App => {
    if (!app) throw new Error('the app is started in beforeAll; use it in a later hook or in a test')
    return app
  }
  const request = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`${ready().url}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${key}`, ...(init.headers as Record<string, string>) },
    })
  return {
    get app() {
      return ready()
    },
    get url() {
      return ready().url
    },
    get key() {
      return key
    },
    get dataDir() {
      return dataDir
    },
    request,
    post: async (rows, { query = '', headers = {} } = {}) => {
      const raw = typeof rows === 'string' || rows instanceof Uint8Array
      const response = await request(`/v1/requests${query}`, {
        method: 'POST',
        body: raw ? (rows as string) : JSON.stringify(rows),
        headers: { 'content-type': 'application/json', ...headers },
      })
      const text = await response.text()
      return { status: response.status, body: text === '' ? undefined : JSON.parse(text), headers: response.headers }
    },
  }
}
