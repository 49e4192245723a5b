import { campaignQuery, CATEGORIES, GALLERIES, popular, POSTS, PRODUCTS, searchQuery } from './catalog.ts'
import type { Client } from './event.ts'
import type { Person } from './people.ts'
import type { Random } from './random.ts'
import { SECOND } from './recorder.ts'
import { HOSTS, ROUTES, unknownRoute, type RequestOptions, type Route, type Services } from './services.ts'

const SHOP = `https://${HOSTS.shop}`
const BLOG = `https://${HOSTS.blog}`
const ASSETS = [
  'app.3f9c1e.css',
  'fonts.71ab.css',
  'runtime.9d02.js',
  'vendor.c41e7a.js',
  'app.3f9c1e.js',
  'inter.woff2',
  'logo.svg',
  'sprite.svg',
]
const THEME = ['style.css?ver=6.8', 'print.css?ver=6.8', 'navigation.js?ver=6.8', 'lightbox.js?ver=2.1', 'logo.png']

/** Seconds that someone looks at a page. */
const reading = (random: Random): number => (2 + random.logNormal(16, 0.9)) * SECOND

/** One browser, one visit: knows its clock and what page it is on. */
export const createBrowser = (services: Services, random: Random, person: Person, start: number) => {
  const client: Client = { ...person.client }
  let at = start
  let cached = random.chance(0.4)
  let page = ''

  const send = (route: Route, options: RequestOptions): number => services.serve(random, at, client, route, options)

  const files = (route: Route, paths: readonly string[]): void => {
    const before = at
    for (const full of paths) {
      at += random.exponential(35)
      const [path = '', query] = full.split('?')
      const options: RequestOptions = { path, referer: page }
      if (query) options.query = query
      if (cached && random.chance(0.3)) options.status = 304
      send(route, options)
    }
    // They load side by side with what follows.
    at = before + 200
  }

  return {
    client,
    send,
    files,
    get cached() {
      return cached
    },
    /** Waits as long as someone reads, then opens the page. */
    open(route: Route, path: string, options: Partial<RequestOptions> = {}): number {
      if (page) at += reading(random)
      const target = `https://${HOSTS[route.service]}`
      // Browsers tell another site where one came from, but not the page.
      const from = page.startsWith(target) || !page ? page : `${new URL(page).origin}/`
      const referer = options.referer ?? from
      const status = send(route, { ...options, path, ...(referer && { referer }) })
      page = `${target}${path}${options.query ? `?${options.query}` : ''}`
      at += 60 + random.exponential(120)
      return status
    },
    /** What every browser fetches once a visit. */
    furniture(route: Route, paths: readonly string[]): void {
      if (!cached || random.chance(0.25)) files(route, paths)
      if (!cached && random.chance(0.5)) send(ROUTES.icon, { path: '/favicon.ico', referer: page })
      // Safari asks for names that nobody has.
      if (client.userAgent?.includes('iPhone') && random.chance(0.04)) {
        send(unknownRoute(route.service), { path: '/apple-touch-icon-precomposed.png' })
      }
      cached = true
    },
    wait(ms: number): void {
      at += ms
    },
  }
}

type Browser = ReturnType<typeof createBrowser>

const productImages = (random: Random, count: number): string[] =>
  Array.from({ length: count }, () => `/images/${popular(random, PRODUCTS).slug}-${random.pick([320, 640, 1280])}.webp`)

const referrerOf = (random: Random, person: Person): string | undefined =>
  random.weighted([
    [person.country.search, 46],
    [undefined, 30],
    ['https://www.bing.com/', 4],
    ['https://duckduckgo.com/', 4],
    ['https://www.instagram.com/', 5],
    ['https://www.pinterest.com/', 3],
    ['https://www.reddit.com/', 2],
    ['https://outdoorforum.example/t/which-tent', 2],
    [`${BLOG}/`, 4],
  ])

/** Logs in, with the slips that people make; the service logs the name that was tried. Returns whether it worked. */
export const logIn = (random: Random, browser: Browser, userId: string): boolean => {
  browser.open(ROUTES.loginForm, '/login', { query: 'return_to=%2Faccount' })
  browser.client.userId = userId
  const slips = random.weighted([
    [0, 86],
    [1, 10],
    [2, 3],
    [3, 1],
  ])
  for (let i = 0; i < slips; i++) {
    browser.wait(random.logNormal(9_000, 0.5))
    browser.send(ROUTES.login, { path: '/login', status: 401, referer: `https://${HOSTS.auth}/login` })
  }
  browser.wait(random.logNormal(8_000, 0.5))
  const worked = browser.send(ROUTES.login, { path: '/login', referer: `https://${HOSTS.auth}/login` }) === 302
  if (!worked) delete browser.client.userId
  return worked
}

const shopPage = (random: Random, browser: Browser): void => {
  const kind = random.weighted([
    ['product', 52],
    ['category', 26],
    ['search', 15],
    ['home', 5],
    ['gone', 2],
  ] as const)
  const edge = { attributes: { cache: random.chance(0.7) ? 'hit' : 'miss' } }
  if (kind === 'product') {
    const product = popular(random, PRODUCTS)
    browser.open(ROUTES.product, `/p/${product.slug}`, edge)
    browser.furniture(
      ROUTES.script,
      ASSETS.map((file) => `/assets/${file}`),
    )
    browser.files(ROUTES.image, [`/images/${product.slug}-1280.webp`, ...productImages(random, random.int(1, 4))])
    if (random.chance(0.6))
      browser.send(ROUTES.apiRecommendations, {
        path: '/v1/recommendations',
        query: `product=${product.id}`,
        referer: `${SHOP}/`,
      })
    if (random.chance(0.12)) {
      browser.wait(random.logNormal(9_000, 0.6))
      browser.send(ROUTES.apiCartAdd, { path: '/v1/cart/items', referer: `${SHOP}/` })
    }
    return
  }
  if (kind === 'gone') {
    browser.open(
      unknownRoute('shop'),
      `/p/${random.pick(['heron-parka-2019', 'old-tarp-77', 'voucher', 'gift-guide'])}`,
    )
    return
  }
  if (kind === 'search') browser.open(ROUTES.search, '/search', { query: searchQuery(random) })
  else if (kind === 'home') browser.open(ROUTES.home, '/', edge)
  else browser.open(ROUTES.category, `/c/${popular(random, CATEGORIES)}`, edge)
  browser.furniture(
    ROUTES.script,
    ASSETS.map((file) => `/assets/${file}`),
  )
  browser.files(ROUTES.image, productImages(random, random.int(2, 9)))
  if (random.chance(0.3)) browser.send(ROUTES.apiCart, { path: '/v1/cart', referer: `${SHOP}/` })
}

/** Looks round the shop; some log in, few buy. */
export const shopVisit = (services: Services, random: Random, person: Person, start: number): void => {
  const browser = createBrowser(services, random, person, start)
  const referer = referrerOf(random, person)
  const query = random.chance(0.08) ? campaignQuery(random) : undefined
  const first = random.weighted([
    ['/', 40],
    [`/c/${popular(random, CATEGORIES)}`, 22],
    [`/p/${popular(random, PRODUCTS).slug}`, 38],
  ])
  const route = first === '/' ? ROUTES.home : first.startsWith('/c/') ? ROUTES.category : ROUTES.product
  if (first === '/' && random.chance(0.12)) browser.send({ ...ROUTES.home, ms: 1 }, { path: '/', status: 301 })
  browser.open(route, first, { ...(referer && { referer }), ...(query && { query }) })
  browser.furniture(
    ROUTES.script,
    ASSETS.map((file) => `/assets/${file}`),
  )
  browser.files(ROUTES.image, productImages(random, random.int(4, 11)))
  browser.send(ROUTES.apiCart, { path: '/v1/cart', referer: `${SHOP}/` })
  const pages = Math.min(40, Math.floor(random.exponential(3.4)))
  for (let i = 0; i < pages; i++) shopPage(random, browser)
  if (!person.userId || !random.chance(pages > 3 ? 0.5 : 0.2)) return
  if (!logIn(random, browser, person.userId)) return
  browser.open(ROUTES.account, '/account', { referer: `https://${HOSTS.auth}/` })
  browser.send(ROUTES.apiMe, { path: '/v1/me', referer: `${SHOP}/account` })
  if (random.chance(0.4)) browser.open(ROUTES.accountOrders, '/account/orders')
  if (random.chance(0.35)) {
    browser.open(ROUTES.cart, '/cart')
    browser.open(ROUTES.checkout, '/checkout')
    browser.wait(random.logNormal(70_000, 0.5))
    browser.send(ROUTES.confirm, { path: '/checkout/confirm', referer: `${SHOP}/checkout` })
  }
  if (random.chance(0.3)) browser.open(ROUTES.logout, '/logout')
}

/** Reads a post or two. */
export const blogVisit = (services: Services, random: Random, person: Person, start: number): void => {
  const browser = createBrowser(services, random, person, start)
  const posts = 1 + Math.floor(random.exponential(0.7))
  for (let i = 0; i < posts; i++) {
    const post = popular(random, POSTS)
    const referer = i === 0 ? referrerOf(random, person) : undefined
    browser.open(ROUTES.post, `/${post}/`, referer ? { referer } : {})
    browser.furniture(
      ROUTES.theme,
      THEME.map((file) => `/wp-content/themes/ridge/${file}`),
    )
    browser.files(
      ROUTES.upload,
      Array.from(
        { length: random.int(2, 7) },
        (_, n) => `/wp-content/uploads/${post.slice(0, 7)}/${post.slice(8)}-${n + 1}.jpg`,
      ),
    )
    if (random.chance(0.1))
      browser.send(ROUTES.wpAjax, { path: '/wp-admin/admin-ajax.php', referer: `${BLOG}/${post}/` })
  }
}

/** Looks through pictures: hundreds of files, a handful of pages. */
export const galleryVisit = (services: Services, random: Random, person: Person, start: number): void => {
  const browser = createBrowser(services, random, person, start)
  for (const [slug, pictures] of random.shuffle(GALLERIES).slice(0, random.int(1, 3))) {
    browser.open(ROUTES.gallery, `/galleries/${slug}/`)
    browser.furniture(
      ROUTES.theme,
      THEME.map((file) => `/wp-content/themes/ridge/${file}`),
    )
    const seen = Math.round(pictures * (0.3 + 0.7 * random.float()))
    browser.files(
      ROUTES.upload,
      Array.from({ length: seen }, (_, n) => `/wp-content/uploads/galleries/${slug}/${n + 1}-small.jpg`),
    )
    for (let n = 0; n < seen / 6; n++) {
      browser.wait(random.logNormal(4_000, 0.6))
      browser.files(ROUTES.upload, [`/wp-content/uploads/galleries/${slug}/${random.int(1, seen)}-large.jpg`])
    }
  }
}

/** Uses the shop's app: no pages, no files, only the API. */
export const appVisit = (services: Services, random: Random, person: Person, start: number): void => {
  const client: Client = { ...person.client, userId: person.userId! }
  let at = start
  const send = (route: Route, path: string, query?: string): void => {
    services.serve(random, at, client, route, { path, ...(query && { query }) })
    at += 80 + random.exponential(200)
  }
  if (random.chance(0.35)) send(ROUTES.token, '/oauth/token')
  send(ROUTES.apiMe, '/v1/me')
  send(ROUTES.apiCart, '/v1/cart')
  send(ROUTES.apiRecommendations, '/v1/recommendations', 'place=home')
  const screens = Math.min(60, 1 + Math.floor(random.exponential(6)))
  for (let i = 0; i < screens; i++) {
    at += (1 + random.logNormal(9, 0.9)) * SECOND
    const screen = random.weighted([
      ['product', 55],
      ['search', 22],
      ['cart', 8],
      ['orders', 12],
      ['add', 9],
    ] as const)
    if (screen === 'product') {
      send(ROUTES.apiProduct, `/v1/products/${popular(random, PRODUCTS).id}`)
      send(ROUTES.apiRecommendations, '/v1/recommendations', 'place=product')
    } else if (screen === 'search') send(ROUTES.apiSearch, '/v1/search', searchQuery(random))
    else if (screen === 'cart') send(ROUTES.apiCart, '/v1/cart')
    else if (screen === 'add') send(ROUTES.apiCartAdd, '/v1/cart/items')
    else {
      send(ROUTES.apiOrders, '/v1/orders')
      if (random.chance(0.6)) send(ROUTES.apiOrder, `/v1/orders/${random.int(700_000, 799_999)}`)
    }
  }
  if (random.chance(0.04)) send(ROUTES.apiOrderCreate, '/v1/orders')
}
