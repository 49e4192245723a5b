import { desktopBrowser, mobileBrowser } from '../agents.ts'
import { CATEGORIES, popular, PRODUCTS } from '../catalog.ts'
import type { Client } from '../event.ts'
import { PARTNER } from '../machines.ts'
import { HOUR, MINUTE, SECOND } from '../recorder.ts'
import { ROUTES } from '../services.ts'
import type { Attack } from './context.ts'

/** Copies the catalogue for hours, at a pace that no one reads at. */
export const scraper: Attack = ({ random, rented, moment, size, send }) => {
  for (const [count, gap] of [
    [size(1_000, 220), 7 * SECOND],
    [size(320, 150), 9 * SECOND],
  ] as const) {
    const client = rented()
    let at = moment(0.2 + 0.5 * random.float())
    for (let i = 0; i < count; i++) {
      at += random.exponential(gap)
      send(at, client, ROUTES.product, ['high_volume'], { path: `/p/${random.pick(PRODUCTS).slug}` })
    }
  }
}

/** As many searches as it can, for three minutes. */
export const burst: Attack = ({ random, rented, moment, size, send }) => {
  const client: Client = { ...rented(), userAgent: 'node-fetch/1.0 (+https://github.com/bitinn/node-fetch)' }
  let at = moment(0.55)
  for (let i = 0; i < size(520, 140); i++) {
    at += random.exponential(330)
    send(at, client, ROUTES.apiSearch, ['burst', 'high_volume'], {
      path: '/v1/search',
      query: `q=${random.hex(3)}`,
      ...(random.chance(0.04) && { status: 503 }),
    })
  }
}

/** Follows every link at once. */
export const crawl: Attack = ({ random, rented, moment, size, send }) => {
  const client: Client = { ip: rented().ip, userAgent: 'Scrapy/2.13.3 (+https://scrapy.org)' }
  let at = moment(0.38)
  for (const product of random.shuffle(PRODUCTS).slice(0, size(250, 130))) {
    at += random.exponential(700)
    send(at, client, ROUTES.product, ['crawl', 'high_volume'], { path: `/p/${product.slug}` })
    if (random.chance(0.15))
      send(at + 100, client, ROUTES.category, ['crawl', 'high_volume'], {
        path: `/c/${random.pick(CATEGORIES)}`,
        query: `page=${random.int(1, 30)}`,
      })
  }
}

/** Counts through other people's orders: refused, refused, refused. */
export const enumeration: Attack = ({ random, rented, moment, size, send }) => {
  const client: Client = { ...rented(), userId: `u-${random.int(1_000_000, 9_999_999)}` }
  let at = moment(0.8)
  const first = random.int(700_000, 790_000)
  for (let i = 0; i < size(170, 90); i++) {
    at += random.exponential(650)
    send(at, client, ROUTES.apiOrder, ['error_burst', 'error_ratio'], {
      path: `/v1/orders/${first + i}`,
      status: random.chance(0.8) ? 403 : 404,
    })
  }
}

/** Finds an input that the service cannot take, and repeats it. */
export const serverErrors: Attack = ({ random, rented, moment, size, send }) => {
  const client = rented()
  let at = moment(0.27)
  for (let i = 0; i < size(48, 20); i++) {
    at += random.exponential(8 * SECOND)
    send(at, client, ROUTES.apiCartAdd, ['server_error_burst'], {
      path: '/v1/cart/items',
      status: random.chance(0.9) ? 500 : 400,
    })
  }
}

/** A customer that fetches the stock once an hour fetches it all the time, for one hour. */
export const anomaly: Attack = ({ recorder, random, round, size, send }) => {
  if (round > 0) return
  const start = recorder.clock(11, 4)
  for (let i = size(520, 160); i > 0; i--) {
    send(start + random.float() * 50 * MINUTE, PARTNER, ROUTES.apiStock, ['volume_anomaly'], {
      path: '/v1/stock',
      query: `page=${random.int(1, 12)}`,
    })
  }
}

/** Something inside a home network that reports every minute and a half, day and night. */
export const beacon: Attack = ({ recorder, random, hijacked, size, send }) => {
  const client: Client = { ip: hijacked().ip, userAgent: 'Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1)' }
  const gap = Math.round((24 * HOUR) / size(560, 60))
  const from = recorder.from + random.float() * HOUR
  for (let at = from; at < recorder.to; at += gap) {
    send(at + (random.float() - 0.5) * 0.06 * gap, client, ROUTES.wpAjax, ['beaconing'], {
      path: '/wp-admin/admin-ajax.php',
      query: 'action=heartbeat_ext',
      status: 400,
      bytes: 1,
    })
  }
}

/** A new argument each time, so that no cache can help. */
export const cacheBusting: Attack = ({ random, rented, moment, size, send }) => {
  const client = rented()
  let at = moment(0.9)
  for (let i = 0; i < size(480, 240); i++) {
    at += random.exponential(21)
    send(at, client, ROUTES.home, ['cache_busting', 'burst'], {
      path: '/',
      query: `${random.hex(6)}=${random.hex(10)}`,
      ...(random.chance(0.1) && { status: 503 }),
    })
  }
}

/** Never slows down, whatever the limit says; the 429s are our own. */
export const limitViolator: Attack = ({ random, rented, moment, size, send }) => {
  for (const count of [size(160, 40), 18]) {
    const client = rented()
    let at = moment(0.1 + 0.8 * random.float())
    let inMinute = 0
    let minute = 0
    for (let i = 0; i < count; i++) {
      at += random.exponential(3 * SECOND)
      const now = Math.floor(at / MINUTE)
      if (now !== minute) {
        minute = now
        inMinute = 0
      }
      const limited = ++inMinute > 5
      send(at, client, ROUTES.apiSearch, ['limit_violator'], {
        path: '/v1/search',
        query: `q=${random.pick(CATEGORIES)}`,
        ...(limited && { status: 429, bytes: 118, action: 'rate_limited', policyId: 'default' }),
      })
    }
  }
}

/** One address, a new browser with every request. */
export const agentRotation: Attack = ({ random, rented, moment, size, send }) => {
  const { ip } = rented()
  let at = moment(0.5)
  for (let i = 0; i < size(150, 40); i++) {
    at += random.exponential(11 * SECOND)
    const userAgent = random.chance(0.5) ? desktopBrowser(random) : mobileBrowser(random)
    send(
      at,
      { ip, userAgent: userAgent.replace(/Chrome\/\d+/, `Chrome/${random.int(88, 150)}`) },
      ROUTES.product,
      ['user_agent_rotation'],
      { path: `/p/${popular(random, PRODUCTS).slug}` },
    )
  }
}
