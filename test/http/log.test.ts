import { describe, expect, it } from 'vitest'

import { capturedLog } from '../support/log.ts'
import { ADMIN, COLLECTOR } from './support.ts'

describe('no line of the log holds a secret, wherever it comes from', () => {
  it.each<[where: string, bindings: object, message: string]>([
    ['a header', { headers: { authorization: `Bearer ${ADMIN}` } }, ''],
    ['a header of several values', { 'set-cookie': [`a=${ADMIN}`, `b=${ADMIN}`] }, ''],
    ['a header deep inside', { a: { b: { c: { d: { 'X-Api-Key': ADMIN } } } } }, ''],
    ['a field by its name, with quotes in it', { password: `"\\"${ADMIN}"` }, ''],
    ['a cookie', { req: { headers: { cookie: `key=${ADMIN}` } } }, ''],
    ['one of our keys in a message', {}, `somebody sent ${COLLECTOR} in a path`],
    ['a credential in a message', {}, `refused: Basic ${Buffer.from(`:${ADMIN}`).toString('base64')}`],
    ['a password in the URL of an error', { err: new Error(`connect redis://default:${ADMIN}@cache:6379 failed`) }, ''],
    [
      'a password in the URL of a cause',
      { err: new Error('no', { cause: new Error(`smtp://user:${ADMIN}@mail`) }) },
      '',
    ],
  ])('%s', (_, bindings, message) => {
    const { log, text } = capturedLog()
    log.info(bindings, message)
    expect(text()).toContain('***')
    for (const secret of [ADMIN, COLLECTOR, Buffer.from(`:${ADMIN}`).toString('base64')])
      expect(text()).not.toContain(secret)
    expect(() => JSON.parse(text())).not.toThrow()
  })
})

it('leaves everything else as it is', () => {
  const { log, text } = capturedLog()
  const url = 'https://10.0.0.1:8443/path@v1?x=1'
  log.info({ url, keyId: 'key_0123456789ab' }, 'Basic authentication by an unexpected token')
  expect(JSON.parse(text())).toMatchObject({
    url,
    keyId: 'key_0123456789ab',
    msg: 'Basic authentication by an unexpected token',
    level: 'info',
  })
})
