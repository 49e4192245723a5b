import { addressIn, HOSTING } from './addresses.ts'
import { popular, PRODUCTS } from './catalog.ts'
import { recordCrawlers } from './crawlers.ts'
import type { Client } from './event.ts'
import type { Random } from './random.ts'
import { DAY, HOUR, MINUTE, SECOND, type Recorder } from './recorder.ts'
import { ROUTES, type Route, type Services } from './services.ts'

/** What an honest machine is, for those who count false alarms. */
export type MachineRole = 'search_engine' | 'crawler' | 'monitor' | 'feed_reader' | 'webhook' | 'partner' | 'internal'

const FEEDS: readonly (readonly [userAgent: string, ip: string, minutes: number])[] = [
  ['Feedly/1.0 (+https://feedly.com/poller.html; 41 subscribers)', '8.29.198.26', 35],
  ['Mozilla/5.0 (compatible; inoreader.com; 17 subscribers)', '95.216.14.201', 60],
  ['NewsBlur Feed Fetcher - 9 subscribers - https://www.newsblur.com/site/8112406/', '45.33.41.17', 75],
  ['Tiny Tiny RSS/24.11 (https://tt-rss.org/)', '88.198.77.40', 30],
  ['FreshRSS/1.27.1 (Linux; https://freshrss.org)', '84.128.77.61', 20],
  ['NetNewsWire (RSS Reader; https://netnewswire.com/)', '98.203.111.54', 61],
  ['Miniflux/2.2.13', '5.9.88.12', 60],
]

const MONITORS = ['3.12.251.153', '3.20.63.178', '3.77.67.4', '5.161.61.238', '18.192.166.72']
const MONITOR_AGENT = 'Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)'
const WEBHOOK_IPS = [
  '3.18.12.63',
  '3.130.192.231',
  '13.235.14.237',
  '18.211.135.69',
  '35.154.171.200',
  '52.15.183.38',
  '54.187.174.169',
]
const LINK_PREVIEW = 'facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)'

/** A business customer whose program fetches the stock every hour; one of the attacks is its unusual day. */
export const PARTNER: Client = {
  ip: '88.198.140.77',
  userAgent: 'alpina-stock-sync/2.4 (python-httpx/0.28.1)',
  userId: 'partner-alpina',
}

/** Requests at a steady gap with a little play in it. */
const steady = (
  recorder: Recorder,
  random: Random,
  gap: number,
  play: number,
  send: (at: number, turn: number) => void,
): void => {
  let turn = 0
  for (let at = recorder.from + random.float() * gap; at < recorder.to; at += gap)
    send(at + random.float() * play, turn++)
}

const recordWatchers = (recorder: Recorder, services: Services, scale: number): void => {
  const watched: readonly (readonly [Route, string])[] = [
    [{ ...ROUTES.home, method: 'HEAD' }, '/'],
    [ROUTES.apiHealth, '/healthz'],
    [{ ...ROUTES.blogHome, method: 'HEAD' }, '/'],
  ]
  const stretch = Math.max(1, 1 / scale)
  for (const [route, path] of watched) {
    const random = recorder.random(`monitor ${route.service}`)
    steady(recorder, random, 5 * MINUTE * stretch, 900, (at, turn) => {
      const client = { ip: MONITORS[turn % MONITORS.length]!, userAgent: MONITOR_AGENT }
      services.serve(random, at, client, route, { path })
    })
  }
  for (const [route, node] of [
    [ROUTES.health, 11],
    [ROUTES.apiHealth, 12],
    [ROUTES.authHealth, 13],
  ] as const) {
    const random = recorder.random(`balancer ${node}`)
    const client = { ip: `10.0.3.${node}`, userAgent: 'kube-probe/1.34' }
    steady(recorder, random, MINUTE * stretch, 12, (at) =>
      services.serve(random, at, client, route, { path: '/healthz' }),
    )
  }
  for (const [userAgent, ip, minutes] of FEEDS) {
    const random = recorder.random(`feed ${ip}`)
    steady(recorder, random, minutes * MINUTE, 20 * SECOND, (at) =>
      services.serve(random, at, { ip, userAgent }, ROUTES.feed, {
        path: '/feed/',
        ...(random.chance(0.9) && { status: 304 }),
      }),
    )
  }
}

const recordPartners = (recorder: Recorder, services: Services, scale: number): void => {
  const random = recorder.random('partners')
  for (let i = 0; i < 420 * scale; i++) {
    // Payments follow the shop's day: few by night.
    const at = recorder.from + random.float() * DAY
    const hour = new Date(at).getUTCHours()
    if (hour < 6 && random.chance(0.8)) continue
    const type = random.weighted([
      ['payment_intent.succeeded', 80],
      ['charge.refunded', 12],
      ['payment_intent.payment_failed', 8],
    ])
    const client = { ip: random.pick(WEBHOOK_IPS), userAgent: 'Stripe/1.0 (+https://stripe.com/docs/webhooks)' }
    services.serve(random, at, client, ROUTES.apiWebhook, {
      path: '/v1/webhooks/payments',
      requestBytes: random.int(2_400, 5_200),
      attributes: { eventType: type },
    })
  }
  steady(recorder, random, HOUR, 40 * SECOND, (at) => {
    for (let page = 1; page <= 12; page++) {
      services.serve(random, at + page * 700, PARTNER, ROUTES.apiStock, { path: '/v1/stock', query: `page=${page}` })
    }
  })
  // The shop's own servers ask the API for prices.
  for (let i = 0; i < 1_500 * scale; i++) {
    const client = { ip: `10.0.1.${random.int(20, 23)}`, userAgent: 'shop-web/2026.47 (undici)' }
    services.serve(random, recorder.from + random.float() * DAY, client, ROUTES.apiProduct, {
      path: `/v1/products/${popular(random, PRODUCTS).id}`,
    })
  }
  for (let i = 0; i < 90 * scale; i++) {
    const client = { ip: addressIn(random, random.pick(['69.63.184.0/24', '57.141.0.0/24'])), userAgent: LINK_PREVIEW }
    services.serve(random, recorder.from + random.float() * DAY, client, ROUTES.product, {
      path: `/p/${popular(random, PRODUCTS).slug}`,
      status: 206,
    })
  }
  // Small honest scripts on rented machines, so that not all that comes from there is an attack.
  for (let i = 0; i < 14; i++) {
    const ip = addressIn(random, random.pick(HOSTING))
    const userAgent = random.pick(['python-requests/2.32.5', 'curl/8.16.0', 'Go-http-client/2.0'])
    for (let turn = 0; turn < 6; turn++) {
      const at = recorder.from + (turn + random.float()) * 4 * HOUR
      services.serve(random, at, { ip, userAgent }, ROUTES.sitemap, { path: '/sitemap.xml' })
    }
  }
}

/** Records every honest machine and says which address is what. */
export const recordMachines = (
  recorder: Recorder,
  services: Services,
  seed: number,
  scale: number,
): Map<string, MachineRole> => {
  const roles = new Map<string, MachineRole>(recordCrawlers(recorder, services, seed, scale))
  recordWatchers(recorder, services, scale)
  recordPartners(recorder, services, scale)
  for (const ip of MONITORS) roles.set(ip, 'monitor')
  for (const [, ip] of FEEDS) roles.set(ip, 'feed_reader')
  for (const ip of WEBHOOK_IPS) roles.set(ip, 'webhook')
  for (const last of [11, 12, 13]) roles.set(`10.0.3.${last}`, 'internal')
  for (const last of [20, 21, 22, 23]) roles.set(`10.0.1.${last}`, 'internal')
  return roles.set(PARTNER.ip, 'partner')
}
