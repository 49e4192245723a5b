import { addressIn, COUNTRIES, type Country } from './addresses.ts'
import { desktopBrowser, mobileApp, mobileBrowser } from './agents.ts'
import type { Client } from './event.ts'
import { createRandom, type Random } from './random.ts'
import { DAY, HOUR, type Recorder } from './recorder.ts'

/** Someone who visits on several days: the same address, browser and account on each. */
export interface Person {
  client: Client
  country: Country
  /** Has the address and browser; `userId` is sent once they are logged in. */
  userId: string | undefined
  mobile: boolean
}

/** How busy people are at each hour of their own day. */
const DAILY = [
  0.22, 0.13, 0.08, 0.06, 0.06, 0.09, 0.2, 0.42, 0.62, 0.74, 0.8, 0.84, 0.9, 0.82, 0.78, 0.78, 0.82, 0.88, 0.97, 1.1,
  1.18, 1.05, 0.78, 0.44,
]

/** Activity at a time of day in hours, between the hours' values. */
const activity = (hours: number): number => {
  const hour = ((hours % 24) + 24) % 24
  const [before, after] = [DAILY[Math.floor(hour)]!, DAILY[(Math.floor(hour) + 1) % 24]!]
  return before + (after - before) * (hour - Math.floor(hour))
}

const SLOTS = 96

/** Draws (time, country) so that each country keeps its own hours. */
export const createVisitTimes = (recorder: Recorder) => {
  const slots: { slot: number; country: Country }[] = []
  const cumulative: number[] = []
  let total = 0
  for (let slot = 0; slot < SLOTS; slot++) {
    const utcHours = ((recorder.from + (slot * DAY) / SLOTS) / HOUR) % 24
    for (const country of COUNTRIES) {
      total += country.weight * activity(utcHours + country.utcOffset)
      slots.push({ slot, country })
      cumulative.push(total)
    }
  }
  return (random: Random): { at: number; country: Country } => {
    const wanted = random.float() * total
    let [low, high] = [0, cumulative.length - 1]
    while (low < high) {
      const middle = (low + high) >> 1
      if (cumulative[middle]! > wanted) high = middle
      else low = middle + 1
    }
    const { slot, country } = slots[low]!
    return { at: recorder.from + ((slot + random.float()) * DAY) / SLOTS, country }
  }
}

/** An account number that no one else has: two owners of one would seem to be in two places at once. */
const accountOf = (country: Country, index: number, app: boolean): string => {
  const ordinal = (COUNTRIES.indexOf(country) * 2 + Number(app)) * 100_000 + index
  // A step and a modulus without a common factor reach every number once.
  return `u-${1_000_000 + ((ordinal * 7_919) % 8_999_993)}`
}

/**
 * The people of a seed. They do not depend on the day, so that a user of yesterday comes from the same place today.
 * @param size how many there are in all; countries share them by weight
 */
export const createPopulation = (seed: number, size: number) => {
  const known = new Map<string, Person>()
  const weights = COUNTRIES.reduce((sum, { weight }) => sum + weight, 0)

  const make = (country: Country, index: number, app: boolean): Person => {
    const random = createRandom(`${seed}/person/${country.code}/${app ? 'app' : 'web'}/${index}`)
    const mobile = app || random.chance(0.58)
    const six = country.v6.length > 0 && random.chance(mobile ? 0.45 : 0.3)
    const browser = mobile ? mobileBrowser(random) : desktopBrowser(random)
    return {
      country,
      mobile,
      userId: app || random.chance(0.35) ? accountOf(country, index, app) : undefined,
      client: {
        ip: addressIn(random, random.pick(six ? country.v6 : country.v4)),
        userAgent: app ? mobileApp(random) : browser,
        protocol: random.chance(0.25) ? 'HTTP/3.0' : 'HTTP/2.0',
      },
    }
  }

  return (random: Random, country: Country, app: boolean): Person => {
    const pool = Math.max(3, Math.round((size * (app ? 0.3 : 1) * country.weight) / weights))
    // Some come often, most now and then.
    const index = Math.floor(pool * random.float() ** 1.4)
    const key = `${country.code}/${app ? 'app' : 'web'}/${index}`
    const person = known.get(key) ?? make(country, index, app)
    known.set(key, person)
    return person
  }
}
