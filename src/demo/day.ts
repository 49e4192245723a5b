import { recordVictimsAtHome } from './attacks/login.ts'
import { recordAttacks } from './attacks/index.ts'
import type { DemoEvent } from './event.ts'
import { recordMachines, type MachineRole } from './machines.ts'
import { OFFICE_IP, recordOffice } from './office.ts'
import { createPopulation, createVisitTimes } from './people.ts'
import { createRecorder, DAY, type Attacker } from './recorder.ts'
import { createServices } from './services.ts'
import { appVisit, blogVisit, galleryVisit, shopVisit } from './visits.ts'

export interface DayOptions {
  /** The same seed and day give the same bytes. People and honest machines depend on the seed only and come again on other days. */
  seed: number
  /** First moment of the 24 hours, or `end`, the moment after the last. */
  day?: Date
  end?: Date
  /** About how many requests, 100,000 unless given. From 5,000; below 20,000 attacks take more than their share. */
  requests?: number
  /** False: a quiet day, to learn from what is usual. */
  attacks?: boolean
}

/** What really happened. Nothing of it is in the events. */
export interface Truth {
  attackers: readonly Attacker[]
  /** Honest machines by address, and the office behind its one address. */
  machines: ReadonlyMap<string, MachineRole | 'office'>
}

export interface Day {
  /** In the order of time. */
  events(): readonly DemoEvent[]
  truth: Truth
}

const REFERENCE = 100_000

/** Makes a day of the services of Marlow & Finch, an outdoor shop: 100,000 requests take about a second. */
export const generateDay = ({ seed, day, end, requests = REFERENCE, attacks = true }: DayOptions): Day => {
  const from = day ? day.getTime() : end ? end.getTime() - DAY : Number.NaN
  if (!Number.isFinite(from)) throw new TypeError('generateDay needs `day` or `end`: a valid Date')
  if (!(requests >= 5_000)) throw new RangeError(`requests is ${requests}; allowed is a number from 5000`)
  const scale = requests / REFERENCE
  const recorder = createRecorder(seed, from)
  const services = createServices(recorder)

  if (attacks) recordAttacks(recorder, services, seed, scale)
  const machines = new Map<string, MachineRole | 'office'>(recordMachines(recorder, services, seed, scale))
  machines.set(OFFICE_IP, 'office')
  recordOffice(recorder, services, seed, scale)
  recordVictimsAtHome(recorder, services, seed)

  const random = recorder.random('visits')
  const visitTime = createVisitTimes(recorder)
  const person = createPopulation(seed, Math.round(5_200 * scale))
  while (recorder.count < requests) {
    const { at, country } = visitTime(random)
    const visit = random.weighted([
      [shopVisit, 61],
      [appVisit, 27],
      [blogVisit, 10],
      [galleryVisit, 1.1],
    ] as const)
    visit(services, random, person(random, country, visit === appVisit), at)
  }
  const sorted = recorder.sorted()
  return { events: () => sorted, truth: { attackers: recorder.attackers(), machines } }
}

/** One JSON document a line, as the collector takes it. */
export const encodeNdjson = (events: Iterable<DemoEvent>): string => {
  const lines: string[] = []
  for (const event of events) lines.push(JSON.stringify(event))
  return lines.length > 0 ? `${lines.join('\n')}\n` : ''
}
