import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { type Known, makePlan, retryAfter, type WindowState } from '../../src/jobs/plan.ts'
import type { Job } from '../../src/jobs/index.ts'
import { patternOf, windowsAsked } from '../../src/jobs/windows.ts'
import { at, HOUR } from './support.ts'

const job: Job = {
  name: 'count',
  description: '',
  windowSeconds: 3600,
  settleSeconds: 300,
  catchUp: 'all',
  lookedBackSeconds: 7200,
  rowsOfWindows: async () => new Map(),
  run: async () => ({ rowsRead: 0, rowsWritten: 0 }),
}

const done = (startedAt: number, windowRows: number, more: Partial<WindowState> = {}): WindowState => ({
  attempts: 1,
  valid: { startedAt, finishedAt: startedAt + 1, windowRows },
  grewAt: windowRows > 0 ? startedAt + 1 : undefined,
  failures: 0,
  failedAt: 0,
  cutOffAt: 0,
  ...more,
})

const failed = (failures: number, failedAt: number): WindowState => ({
  ...done(0, 0),
  valid: undefined,
  attempts: failures,
  failures,
  failedAt,
})

/** `10:run`, in order. */
const stepsOf = (known: Partial<Known>, now = at(4, 5)): string[] =>
  makePlan(job, { states: new Map(), queued: [], counts: new Map(), now, ...known }).steps.map(
    ({ window, kind }) => `${(window.from.getTime() - at(0)) / HOUR + 10}:${kind}`,
  )

const hours = <T>(values: Record<number, T>): Map<number, T> =>
  new Map(Object.entries(values).map(([hour, value]) => [at(Number(hour) - 10), value]))

/** After so many failures of the window from 13:00, the last at 14:06. */
const planAfter = (failures: number, now: number) =>
  makePlan(job, { states: hours({ 13: failed(failures, at(4, 6)) }), queued: [], counts: hours({ 13: 1 }), now })

describe('a plan', () => {
  it('has nothing for what is done, and ends where the next window begins', () => {
    const states = hours({ 10: done(at(2), 1), 11: done(at(3), 1), 12: done(at(4), 0), 13: done(at(4, 6), 2) })
    const plan = makePlan(job, { states, queued: [], counts: hours({ 10: 1, 13: 2 }), now: at(5, 4) })
    expect(plan).toEqual({ steps: [], doneUntil: at(4), retryAt: undefined })
  })

  it('settles windows without rows that nobody ran, and runs those with some', () => {
    expect(stepsOf({ counts: hours({ 11: 3 }) })).toEqual(['11:run', '12:settle', '13:settle'])
    expect(stepsOf({})).toEqual(['13:settle'])
  })

  it('runs again what ran before it was over, was cut off, or looks back at what has grown since', () => {
    const states = hours({
      10: done(at(1, 6), 1),
      11: done(at(1, 30), 1),
      12: done(at(3, 6), 1, { cutOffAt: at(3, 7) }),
      13: done(at(4, 5), 1, { grewAt: undefined }),
    })
    const counts = hours({ 10: 1, 11: 1, 12: 1, 13: 1 })
    expect(stepsOf({ states, counts })).toEqual(['11:run', '12:run'])
    expect(stepsOf({ states, counts: hours({ 10: 1, 11: 2, 12: 1, 13: 1 }) })).toEqual(['11:run', '12:run', '13:run'])
  })

  it('waits longer after each failure, an hour at most, and after the twelfth for somebody to mend it', () => {
    const minutes = Array.from({ length: 12 }, (_, index) => (retryAfter(index + 1, 0) ?? -60_000) / 60_000)
    expect(minutes).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, -1])
    expect(planAfter(2, at(4, 7))).toEqual({ steps: [], doneUntil: at(3), retryAt: at(4, 8) })
    expect(planAfter(2, at(4, 8)).steps).toHaveLength(1)
    expect(planAfter(12, at(900))).toMatchObject({ doneUntil: at(3), retryAt: undefined })
    expect(planAfter(12, at(5)).steps).toEqual([])
  })

  it('done as it says leaves nothing to do, whatever was known', () => {
    const rows = fc.integer({ min: 0, max: 2 })
    const state = fc
      .record({ begin: fc.integer({ min: 0, max: 600 }), rows, cut: fc.boolean(), failures: rows, valid: fc.boolean() })
      .map(({ begin, rows, cut, failures, valid }) => ({
        ...done(at(0, begin), rows, { cutOffAt: cut ? at(0, begin + 1) : 0, failures, failedAt: at(0, begin) }),
        ...(valid ? {} : { valid: undefined, grewAt: undefined }),
      }))
    const window = fc.integer({ min: 0, max: 9 }).map((hour) => at(hour))
    fc.assert(
      fc.property(
        fc.array(fc.tuple(window, state)),
        fc.array(fc.tuple(window, rows)),
        fc.integer({ min: 60, max: 1_500 }),
        (states, counts, minute) => {
          const known = { states: new Map(states), queued: [], counts: new Map(counts) }
          let clock = at(0, minute + 1_000)
          const now = clock
          const plan = makePlan(job, { ...known, now })
          const starts = plan.steps.map(({ window }) => window.from.getTime())
          expect(starts).toEqual([...new Set(starts)].toSorted((a, b) => a - b))
          for (const { window, windowRows } of plan.steps) {
            const before = known.states.get(window.from.getTime())?.valid?.windowRows ?? 0
            known.states.set(window.from.getTime(), {
              ...done(++clock, windowRows),
              grewAt: windowRows > before ? clock : undefined,
            })
          }
          expect(makePlan(job, { ...known, now }).steps).toEqual([])
        },
      ),
    )
  })
})

it.each([
  [3600, 300, '0 5 * * * *'],
  [3600, 0, '0 0 * * * *'],
  [300, 45, '45 0,5,10,15,20,25,30,35,40,45,50,55 * * * *'],
  [20, 5, '5,25,45 * * * * *'],
  [86_400, 5_400, '0 30 1 * * *'],
  [43_200, 3_600, '0 0 1,13 * * *'],
  [900, 1_000, '40 1,16,31,46 * * * *'],
])('windows of %i s that are run %i s later are due at %s', (windowSeconds, settleSeconds, pattern) => {
  expect(patternOf({ ...job, windowSeconds, settleSeconds })).toBe(pattern)
})

const ask = ({ from, to }: { from?: number; to?: number }) =>
  windowsAsked(
    job,
    { from: from === undefined ? undefined : new Date(from), to: to === undefined ? undefined : new Date(to) },
    at(1, 30),
  )

describe('the windows that somebody asks for', () => {
  it.each([
    ['the last that is over, without a range', {}, [at(0)]],
    ['the one that holds it, of a beginning alone', { from: at(-3, 59) }, [at(-3)]],
    ['the open one', { from: at(1, 29) }, [at(1)]],
    ['all that the range touches', { from: at(-2, 1), to: at(0, 1) }, [at(-2), at(-1), at(0)]],
    ['up to the open one', { from: at(0), to: at(1, 45) }, [at(0), at(1)]],
  ])('are %s', (_what, range, begins) => {
    expect(ask(range).map(({ from }) => from.getTime())).toEqual(begins)
  })

  it.each([
    [/^windowFrom: .* is yet to come/, 'windowFrom', { from: at(2) }],
    [/^windowTo: .* is yet to come; windows up to the one that is open now/, 'windowTo', { from: at(0), to: at(5) }],
    [/^windowTo: .* is not after windowFrom/, 'windowTo', { from: at(0), to: at(0) }],
    [/^windowFrom: missing/, 'windowFrom', { to: at(0) }],
    [
      'windowTo: that makes 810 windows; 800 are allowed at once: run it in parts',
      'windowTo',
      { from: at(-809), to: at(1) },
    ],
  ])('are refused with %s', (message, field, range) => {
    expect(() => ask(range)).toThrow(message)
    expect(() => ask(range)).toThrow(expect.objectContaining({ code: 'INVALID', field }))
  })
})
