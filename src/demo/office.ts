import { countryOf } from './addresses.ts'
import { desktopBrowser } from './agents.ts'
import type { Person } from './people.ts'
import { createRandom } from './random.ts'
import { HOUR, MINUTE, SECOND, type Recorder } from './recorder.ts'
import { HOSTS, ROUTES, type Services } from './services.ts'
import { createBrowser, logIn, shopVisit } from './visits.ts'

/** The shop's own people: some two dozen browsers and accounts behind one address. */
export const OFFICE_IP = '87.138.41.20'

/** Records the office's working day. Weekends have a duty of three. */
export const recordOffice = (recorder: Recorder, services: Services, seed: number, scale: number): void => {
  const weekend = [0, 6].includes(new Date(recorder.clock(12, 0)).getUTCDay())
  const staff = weekend ? 3 : Math.max(6, Math.round(24 * Math.min(1, scale)))
  for (let index = 0; index < staff; index++) {
    const identity = createRandom(`${seed}/office/${index}`)
    const person: Person = {
      country: countryOf('DE'),
      mobile: false,
      userId: `staff-${100 + index}`,
      client: { ip: OFFICE_IP, userAgent: desktopBrowser(identity), protocol: 'HTTP/2.0' },
    }
    const random = recorder.random(`office ${index}`)
    const begin = recorder.clock(6, 40) + random.float() * 2 * HOUR
    const browser = createBrowser(services, random, person, begin)
    if (!logIn(random, browser, person.userId!)) continue
    browser.open(ROUTES.adminHome, '/', { referer: `https://${HOSTS.auth}/` })
    const left = begin + (7 + 2 * random.float()) * HOUR
    for (let now = begin; now < left;) {
      const pause = random.chance(0.12)
        ? (12 + 50 * random.float()) * MINUTE
        : (20 + random.logNormal(70, 0.8)) * SECOND
      now += pause
      browser.wait(pause)
      const order = random.int(700_000, 799_999)
      const task = random.weighted([
        ['orders', 30],
        ['order', 38],
        ['products', 12],
        ['stock', 14],
        ['shop', 3],
      ] as const)
      if (task === 'orders')
        browser.open(ROUTES.adminOrders, '/orders', { query: `state=open&page=${random.int(1, 6)}` })
      else if (task === 'products')
        browser.open(ROUTES.adminProducts, '/products', { query: `page=${random.int(1, 12)}` })
      else if (task === 'stock') browser.open(ROUTES.adminStock, '/api/stock')
      else if (task === 'order') {
        browser.open(ROUTES.adminOrder, `/orders/${order}`)
        if (random.chance(0.45)) browser.send(ROUTES.adminOrderSave, { path: `/orders/${order}` })
      } else shopVisit(services, random, { ...person, userId: undefined }, now)
    }
  }
}
