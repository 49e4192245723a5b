import { addressIn } from './addresses.ts'
import { CATEGORIES, POSTS, PRODUCTS } from './catalog.ts'
import { createRandom, type Random } from './random.ts'
import { DAY, type Recorder } from './recorder.ts'
import { ROUTES, unknownRoute, type RequestOptions, type Route, type Services } from './services.ts'

interface Crawler {
  role: 'search_engine' | 'crawler'
  userAgent: string
  networks: readonly string[]
  /** How many addresses of the networks come in a day, and how many requests of a day of 100,000. */
  addresses: number
  requests: number
}

/**
 * Excerpts of the ranges that their owners publish (in 2026): developers.google.com/search/apis/ipranges/googlebot.json,
 * www.bing.com/toolbox/bingbot.json, search.developer.apple.com/applebot.json, openai.com/gptbot.json,
 * yandex.com/ips, duckduckgo.com/duckduckbot.json, help.ahrefs.com, semrush.com/bot.
 */
const CRAWLERS: readonly Crawler[] = [
  {
    role: 'search_engine',
    userAgent:
      'Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/149.0.7000.60 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
    networks: ['66.249.64.0/27', '66.249.66.0/27', '66.249.70.32/27', '66.249.79.96/27', '2001:4860:4801:10::/64'],
    addresses: 14,
    requests: 1_300,
  },
  {
    role: 'search_engine',
    userAgent: 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
    networks: ['66.249.64.64/27', '66.249.66.192/27'],
    addresses: 5,
    requests: 260,
  },
  {
    role: 'search_engine',
    userAgent:
      'Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/136.0.0.0 Safari/537.36',
    networks: ['157.55.39.0/24', '207.46.13.0/24', '40.77.167.0/24', '52.167.144.0/24'],
    addresses: 16,
    requests: 850,
  },
  {
    role: 'search_engine',
    userAgent:
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)',
    networks: ['17.22.237.0/24', '17.58.96.0/21'],
    addresses: 6,
    requests: 220,
  },
  {
    role: 'search_engine',
    userAgent: 'Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)',
    networks: ['5.255.253.0/24', '213.180.203.0/24', '95.108.213.0/24'],
    addresses: 5,
    requests: 180,
  },
  {
    role: 'search_engine',
    userAgent: 'DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)',
    networks: ['40.88.21.235/32', '54.208.102.37/32'],
    addresses: 2,
    requests: 40,
  },
  {
    role: 'crawler',
    userAgent: 'Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.3; +https://openai.com/gptbot)',
    networks: ['20.171.206.0/24', '20.171.207.0/24'],
    addresses: 4,
    requests: 420,
  },
  {
    role: 'crawler',
    userAgent: 'Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)',
    networks: ['54.36.148.0/24', '54.36.149.0/24'],
    addresses: 22,
    requests: 460,
  },
  {
    role: 'crawler',
    userAgent: 'Mozilla/5.0 (compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)',
    networks: ['185.191.171.0/24'],
    addresses: 9,
    requests: 260,
  },
]

const crawlPage = (random: Random): readonly [Route, RequestOptions] =>
  random.weighted<() => readonly [Route, RequestOptions]>([
    [() => [ROUTES.product, { path: `/p/${random.pick(PRODUCTS).slug}` }], 52],
    [() => [ROUTES.category, { path: `/c/${random.pick(CATEGORIES)}`, query: `page=${random.int(1, 9)}` }], 16],
    [() => [ROUTES.post, { path: `/${random.pick(POSTS)}/` }], 14],
    [() => [ROUTES.robots, { path: '/robots.txt' }], 4],
    [() => [ROUTES.home, { path: '/' }], 4],
    [() => [ROUTES.product, { path: `/p/${random.pick(PRODUCTS).slug}`, status: 304 }], 5],
    // What was taken from the shelves is asked for long after.
    [
      () => [
        unknownRoute('shop'),
        {
          path: `/p/${random.pick(['lynx', 'osprey', 'teal'])}-${random.pick(['tent', 'boot', 'mat'])}-${random.int(2_000, 2_060)}`,
        },
      ],
      5,
    ],
  ])()

/** Records search engines and other declared crawlers, and says which address is which. */
export const recordCrawlers = (
  recorder: Recorder,
  services: Services,
  seed: number,
  scale: number,
): Map<string, Crawler['role']> => {
  const roles = new Map<string, Crawler['role']>()
  for (const { role, userAgent, networks, addresses, requests } of CRAWLERS) {
    const identity = createRandom(`${seed}/crawler/${userAgent}`)
    const ips = Array.from({ length: addresses }, () => addressIn(identity, identity.pick(networks)))
    for (const ip of ips) roles.set(ip, role)
    const random = recorder.random(`crawler ${userAgent}`)
    for (let i = 0; i < Math.max(3, requests * scale); i++) {
      const [route, options] = crawlPage(random)
      services.serve(random, recorder.from + random.float() * DAY, { ip: random.pick(ips), userAgent }, route, options)
    }
  }
  return roles
}
