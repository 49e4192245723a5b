import type { AttackKind, Client, DemoEvent } from './event.ts'
import { createRandom, type Random } from './random.ts'
import { MINUTE, type Recorder } from './recorder.ts'

export const HOSTS = {
  shop: 'www.marlow.example',
  api: 'api.marlow.example',
  auth: 'login.marlow.example',
  blog: 'blog.marlow.example',
  admin: 'admin.marlow.example',
} as const
export type Service = keyof typeof HOSTS

/** How a service answers one kind of request when all is well. */
export interface Route {
  service: Service
  method: string
  /** Template; empty: nothing of the service's own, so that it answers 404. */
  route: string
  status: number
  /** Median and spread (sigma of the logarithm) of the time taken, ms, and of the body sent, bytes. */
  ms: number
  msSpread: number
  bytes: number
  bytesSpread: number
  isFile?: true
}

const route = (
  service: Service,
  method: string,
  template: string,
  [ms, msSpread]: readonly [number, number],
  [bytes, bytesSpread]: readonly [number, number],
  status = 200,
): Route => ({ service, method, route: template, status, ms, msSpread, bytes, bytesSpread })

/** A file from the disk: its length depends on its name only. */
const file = (service: Service, template: string, bytes: number, bytesSpread: number): Route => ({
  ...route(service, 'GET', template, [1.4, 0.6], [bytes, bytesSpread]),
  isFile: true,
})

export const ROUTES = {
  home: route('shop', 'GET', '/', [62, 0.4], [31_000, 0.05]),
  category: route('shop', 'GET', '/c/:category', [95, 0.5], [44_000, 0.2]),
  product: route('shop', 'GET', '/p/:product', [78, 0.45], [38_000, 0.15]),
  search: route('shop', 'GET', '/search', [140, 0.6], [36_000, 0.3]),
  cart: route('shop', 'GET', '/cart', [55, 0.4], [18_000, 0.2]),
  checkout: route('shop', 'GET', '/checkout', [88, 0.4], [22_000, 0.05]),
  confirm: route('shop', 'POST', '/checkout/confirm', [420, 0.5], [480, 0.1], 303),
  account: route('shop', 'GET', '/account', [90, 0.4], [16_000, 0.1]),
  accountOrders: route('shop', 'GET', '/account/orders', [130, 0.5], [21_000, 0.3]),
  script: file('shop', '/assets/:file', 68_000, 0.8),
  image: file('shop', '/images/:file', 24_000, 0.7),
  icon: file('shop', '/favicon.ico', 4_286, 0),
  robots: file('shop', '/robots.txt', 412, 0),
  sitemap: route('shop', 'GET', '/sitemap.xml', [18, 0.4], [88_000, 0.01]),
  health: route('shop', 'GET', '/healthz', [1.1, 0.4], [15, 0]),

  apiProduct: route('api', 'GET', '/v1/products/:id', [24, 0.5], [2_900, 0.3]),
  apiSearch: route('api', 'GET', '/v1/search', [88, 0.7], [9_500, 0.5]),
  apiCart: route('api', 'GET', '/v1/cart', [16, 0.5], [620, 0.6]),
  apiCartAdd: route('api', 'POST', '/v1/cart/items', [42, 0.5], [740, 0.4], 201),
  apiRecommendations: route('api', 'GET', '/v1/recommendations', [120, 0.6], [5_200, 0.2]),
  apiOrders: route('api', 'GET', '/v1/orders', [65, 0.5], [3_100, 0.6]),
  apiOrder: route('api', 'GET', '/v1/orders/:id', [38, 0.5], [1_900, 0.3]),
  apiOrderCreate: route('api', 'POST', '/v1/orders', [510, 0.5], [1_100, 0.2], 201),
  apiMe: route('api', 'GET', '/v1/me', [14, 0.5], [430, 0.1]),
  apiStock: route('api', 'GET', '/v1/stock', [210, 0.4], [61_000, 0.1]),
  apiWebhook: route('api', 'POST', '/v1/webhooks/payments', [48, 0.5], [0, 0], 204),
  apiHealth: route('api', 'GET', '/healthz', [0.9, 0.4], [15, 0]),
  apiPreflight: route('api', 'OPTIONS', '/v1/*', [0.6, 0.4], [0, 0], 204),

  loginForm: route('auth', 'GET', '/login', [22, 0.4], [7_800, 0.01]),
  login: route('auth', 'POST', '/login', [185, 0.25], [0, 0], 302),
  token: route('auth', 'POST', '/oauth/token', [95, 0.3], [1_450, 0.03]),
  logout: route('auth', 'POST', '/logout', [18, 0.4], [0, 0], 302),
  reset: route('auth', 'POST', '/password-reset', [160, 0.3], [640, 0], 202),
  authHealth: route('auth', 'GET', '/healthz', [0.9, 0.4], [15, 0]),

  blogHome: route('blog', 'GET', '/', [240, 0.5], [52_000, 0.03]),
  post: route('blog', 'GET', '/:year/:month/:slug/', [280, 0.5], [41_000, 0.25]),
  gallery: route('blog', 'GET', '/galleries/:slug/', [310, 0.5], [36_000, 0.3]),
  feed: route('blog', 'GET', '/feed/', [120, 0.5], [28_400, 0.01]),
  upload: file('blog', '/wp-content/uploads/*', 128_000, 0.6),
  theme: file('blog', '/wp-content/themes/*', 22_000, 0.8),
  wpLogin: route('blog', 'POST', '/wp-login.php', [390, 0.25], [6_912, 0.004]),
  wpAjax: route('blog', 'POST', '/wp-admin/admin-ajax.php', [150, 0.4], [58, 0.1]),

  adminHome: route('admin', 'GET', '/', [130, 0.4], [24_000, 0.1]),
  adminOrders: route('admin', 'GET', '/orders', [380, 0.6], [66_000, 0.3]),
  adminOrder: route('admin', 'GET', '/orders/:id', [140, 0.5], [29_000, 0.2]),
  adminOrderSave: route('admin', 'POST', '/orders/:id', [220, 0.5], [0, 0], 303),
  adminProducts: route('admin', 'GET', '/products', [260, 0.5], [58_000, 0.2]),
  adminStock: route('admin', 'GET', '/api/stock', [450, 0.6], [42_000, 0.2]),
} as const satisfies Record<string, Route>

/** A path that the service does not have. Each service's error page has its own size. */
export const unknownRoute = (service: Service, method = 'GET'): Route => ({
  service,
  method,
  route: '',
  status: 404,
  ms: { shop: 14, api: 3, auth: 3, blog: 165, admin: 4 }[service],
  msSpread: 0.4,
  bytes: 0,
  bytesSpread: 0,
})

const ERROR_PAGE: Record<Service, number> = { shop: 5_312, api: 96, auth: 1_204, blog: 11_870, admin: 1_204 }

/** A time when a service is unwell: new code going out, or a slow database. */
interface Incident {
  service: Service
  from: number
  to: number
  errors: number
  statuses: readonly number[]
  slower: number
}

export interface RequestOptions {
  path: string
  query?: string
  referer?: string
  /** Fixed; else as the route answers, with the service's own rare errors. */
  status?: number
  bytes?: number
  requestBytes?: number
  action?: DemoEvent['action']
  policyId?: string
  attributes?: DemoEvent['attributes']
  kinds?: readonly AttackKind[]
}

export interface Services {
  /** Records the request and returns the status that it got. */
  serve(random: Random, at: number, client: Client, route: Route, options: RequestOptions): number
}

export const createServices = (recorder: Recorder): Services => {
  const start = (hour: number, minute: number): number =>
    recorder.clock(hour, minute) + recorder.random(`incident ${hour}`).int(0, 20) * MINUTE
  const incidents: Incident[] = (
    [
      ['shop', start(9, 40), 4, 0.22, [502, 503], 2],
      ['api', start(14, 10), 3, 0.16, [500, 502], 1.5],
      ['auth', start(19, 50), 7, 0.03, [504], 6],
    ] as const
  ).map(([service, from, minutes, errors, statuses, slower]) => ({
    service,
    from,
    to: from + minutes * MINUTE,
    errors,
    statuses,
    slower,
  }))

  const statusOf = (random: Random, route: Route, incident: Incident | undefined): number => {
    if (incident && random.chance(incident.errors)) return random.pick(incident.statuses)
    // One in 2,000 goes wrong without a reason that anyone finds.
    return route.ms > 10 && random.chance(0.0005) ? random.pick([500, 500, 502, 504]) : route.status
  }

  const durationOf = (random: Random, route: Route, status: number, incident: Incident | undefined): number => {
    if (status === 504) return 30_000 + random.exponential(40)
    if (status === 304) return random.logNormal(1, 0.4)
    if (status === 429) return random.logNormal(0.7, 0.3)
    const usual = random.logNormal(status === 502 || status === 503 ? 9 : route.ms, route.msSpread)
    // A cold cache, a collector's pause, a lock: 1 in 120 takes far longer.
    const tail = random.chance(1 / 120) ? 4 + random.exponential(9) : 1
    return usual * tail * (incident?.slower ?? 1)
  }

  const fileSizes = new Map<string, number>()

  /** A file is as long each time that it is sent. */
  const fileSize = (route: Route, path: string): number => {
    const known = fileSizes.get(path)
    if (known !== undefined) return known
    const bytes = Math.round(createRandom(path).logNormal(route.bytes, route.bytesSpread))
    fileSizes.set(path, bytes)
    return bytes
  }

  const bytesOf = (random: Random, route: Route, path: string, status: number): number => {
    if (status === 304 || status === 204 || route.method === 'HEAD') return 0
    if (status === 301 || status === 302 || status === 303) return random.pick([0, 138, 162])
    if (status === 502 || status === 503 || status === 504) return 497
    if (status >= 400) return ERROR_PAGE[route.service]
    if (route.bytesSpread === 0) return route.bytes
    return route.isFile ? fileSize(route, path) : Math.round(random.logNormal(route.bytes, route.bytesSpread))
  }

  return {
    serve(random, at, client, route, options) {
      const incident = incidents.find(({ service, from, to }) => service === route.service && at >= from && at < to)
      const status = options.status ?? statusOf(random, route, incident)
      const body = route.method === 'POST' ? random.int(60, 420) : 0
      const event: Omit<DemoEvent, 'timestamp'> = {
        ip: client.ip,
        method: route.method,
        path: options.path,
        status,
        service: route.service,
        host: HOSTS[route.service],
        protocol: client.protocol ?? 'HTTP/1.1',
        durationMs: Math.round(durationOf(random, route, status, incident) * 10) / 10,
        requestBytes:
          options.requestBytes ??
          180 + (client.userAgent?.length ?? 0) + options.path.length + random.int(0, 240) + body,
        responseBytes: options.bytes ?? bytesOf(random, route, options.path, status),
      }
      if (route.route) event.route = route.route
      if (options.query) event.query = options.query
      if (client.userAgent) event.userAgent = client.userAgent
      if (options.referer) event.referer = options.referer
      if (client.userId) event.userId = client.userId
      if (route.ms > 10 && random.chance(0.02)) event.traceId = random.hex(32)
      if (options.action) event.action = options.action
      if (options.policyId) event.policyId = options.policyId
      if (options.attributes) event.attributes = options.attributes
      recorder.record(at, event, options.kinds)
      return status
    },
  }
}
