import { expect, test } from 'vitest'

import { createVedette, type VedetteOptions } from '../../src/middleware/index.ts'

const GOOD = { url: 'http://127.0.0.1:8080', key: 'a-key', service: 'shop' }

const messageOf = (options: object): string => {
  try {
    createVedette(options as VedetteOptions)
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError)
    return (error as Error).message
  }
  return 'taken'
}

test('an option that is wrong is refused with its name, what was given and what is allowed', () => {
  expect(messageOf(GOOD)).toBe('taken')
  const cases: [object, string][] = [
    [
      { url: undefined },
      'createVedette: url is missing; allowed is where Vedette answers, such as http://127.0.0.1:8080',
    ],
    [{ url: 'vedette:8080' }, 'createVedette: url is "vedette:8080"; allowed is'],
    [{ url: 'http://user:pass@host' }, 'without user, password or query'],
    [{ service: '' }, 'createVedette: service is ""; allowed is a name of 1 to 1024 characters'],
    [{ servce: 'shop' }, 'createVedette: servce is not known; allowed is one of url, key, service'],
    [{ decide: true }, 'createVedette: decide is true; allowed is false or an object, such as {}'],
    [{ decide: { timeoutMs: 0 } }, 'createVedette: decide.timeoutMs is 0; allowed is a whole number from 1 to 60000'],
    [{ decide: { onError: 'pass' } }, 'createVedette: decide.onError is "pass"; allowed is allow or deny'],
    [{ batch: { maxRows: 1.5 } }, 'createVedette: batch.maxRows is 1.5; allowed is a whole number from 1 to'],
    [{ batch: { maxDelay: 1 } }, 'createVedette: batch.maxDelay is not known; allowed is one of maxRows, maxDelayMs'],
    [{ buffer: { maxBytes: 1 } }, 'createVedette: buffer.maxBytes is 1; allowed is a whole number from 2097152'],
    [{ buffer: [] }, 'createVedette: buffer is []; allowed is an object'],
    [{ user: 'me' }, 'createVedette: user is "me"; allowed is a function'],
    [{ gzip: 1 }, 'createVedette: gzip is 1; allowed is true or false'],
    [{ logger: {} }, 'createVedette: logger is {}; allowed is an object with warn(message), such as console'],
    [{ trustedProxies: '10.0.0.0/8' }, 'createVedette: trustedProxies is "10.0.0.0/8"; allowed is a list of CIDRs'],
    [
      { trustedProxies: ['10.0.0.0/33'] },
      'createVedette: trustedProxies has "10.0.0.0/33"; allowed are addresses, CIDRs',
    ],
    [{ trustedProxies: ['proxy.internal'] }, 'createVedette: trustedProxies has "proxy.internal"'],
    [{ trustedProxies: [7] }, 'createVedette: trustedProxies has 7'],
  ]
  for (const [wrong, message] of cases) expect(messageOf({ ...GOOD, ...wrong })).toContain(message)
})

test('a wrong key is refused without being shown', () => {
  const message = messageOf({ ...GOOD, key: 'a secret with spaces' })
  expect(message).toMatch(/^createVedette: key is not one; allowed is an API key as `vedette keys create` printed it$/)
})
