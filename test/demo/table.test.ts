import { expect, test } from 'vitest'

import { count, milliseconds, percent, table } from '../../src/demo/table.ts'

test('columns are as wide as their widest cell, figures stand right, and long words are cut', () => {
  const rows = [
    { path: '/', requests: 12_345 },
    { path: `/${'x'.repeat(60)}`, requests: 7 },
  ]
  expect(
    table(
      'Paths',
      rows,
      [
        { title: 'path', value: ({ path }) => path },
        { title: 'requests', value: ({ requests }) => count(requests), right: true },
      ],
      12,
    ),
  ).toBe(['Paths', '  path          requests', '  /               12,345', '  /xxxxxxxxxx…         7'].join('\n'))
})

test('a table without rows is its head', () => {
  expect(table('None', [], [{ title: 'a', value: () => '' }])).toBe('None\n  a')
})

test('what is unknown is a dash, not a nought', () => {
  expect([percent(0.0123), percent(0), percent(null)]).toEqual(['1.2 %', '0.0 %', '–'])
  expect([milliseconds(1.25), milliseconds(250.4), milliseconds(null)]).toEqual(['1.3 ms', '250 ms', '–'])
})
