import type { LogRow } from '../support/request-logs.ts'

/** A row of the hour at noon: `at` seconds after it begins. */
export type Row = Omit<LogRow, 'timestamp' | 'ip'> & { at?: number; ip?: string }

/** `count` rows, one every `gap` seconds of the hour at noon; a row may say another second, also of hours before. */
const rows = (count: number, gap: number, row: (index: number) => Row): Row[] =>
  Array.from({ length: count }, (_, index) => ({ at: index * gap, ...row(index) }))
const each = (things: readonly Row[][]): Row[] => things.flat()

const login = (status: number, rest: Row = {}): Row => ({ method: 'POST', path: '/login', status, ...rest })
const wordPress = (rest: Row = {}): Row => ({ method: 'POST', path: '/wp-login.php', status: 200, ...rest })
const files = (count: number, rest: Row = {}) => rows(count, 2, (n) => ({ path: `/images/${n}.webp`, ...rest }))
/** Addresses of a group, each in a network of its own. */
const member = (group: number, index: number) => `${group}.${index}.1.1`

/** For each detector a log that it flags and the nearest honest one. The address of a row, if it does not say, is that of its case. */
export const CASES: Record<string, { guilty: Row[]; honest: Row[]; because: string }> = {
  high_volume: {
    guilty: rows(100, 30, (n) => ({ path: `/p/${n}`, userAgent: 'Chrome' })),
    honest: each([
      files(400),
      rows(150, 20, () => ({ path: '/v1/cart', userAgent: 'App' })),
      // An office of twelve.
      ...Array.from({ length: 12 }, (_, user) =>
        rows(60, 59, (n) => ({ path: `/orders/${n * user}`, userAgent: 'Chrome', userId: `staff-${user}` })),
      ),
    ]),
    because: 'files come by themselves, an app asks for the same again, an office is many people',
  },
  burst: {
    guilty: rows(100, 2.9, () => ({ path: '/v1/search', query: 'q=a' })),
    honest: each([rows(99, 2.9, () => ({ path: '/v1/search' })), files(500)]),
    because: 'it is one fewer, and files do not count',
  },
  not_found_probing: {
    guilty: rows(11, 300, (n) => ({ path: `/word${n}`, status: 404 })),
    honest: each([
      rows(30, 60, () => ({ path: '/gone', status: 404 })),
      rows(10, 60, (n) => ({ path: `/old/${n}`, status: 404 })),
    ]).slice(0, 10),
    because: 'a dead link is one path, however often it is asked for',
  },
  error_burst: {
    guilty: rows(14, 6, (n) => ({ path: `/v1/orders/${n}`, status: 403 })),
    honest: each([
      rows(40, 1, (n) => ({ path: `/images/${n}.webp`, status: 404 })),
      rows(40, 2, (n) => ({ path: `/v1/part/${n % 9}`, status: 401 })),
      rows(90, 1, () => ({ path: '/v1/removed', status: 410 })).slice(0, 9),
    ]),
    because: 'pictures are missing, a session has run out, one thing is no more',
  },
  error_ratio: {
    guilty: rows(12, 280, (n) => ({ path: `/item/${n % 6}`, query: `id=${n}`, status: n % 3 === 0 ? 200 : 400 })),
    honest: rows(30, 100, () => ({ path: '/v1/webhook', method: 'POST', status: 404 })),
    because: 'one thing that always fails is a broken program',
  },
  server_error_burst: {
    guilty: each([
      rows(11, 50, () => ({ service: 'basket', path: '/v1/cart/items', method: 'POST', status: 500 })),
      rows(40, 20, (n) => ({ service: 'basket', path: '/v1/cart', ip: member(60, n) })),
    ]),
    honest: each([
      rows(11, 50, () => ({ service: 'down', path: '/v1/list', status: 502 })),
      rows(40, 20, (n) => ({
        service: 'down',
        path: `/v1/other/${n}`,
        ip: member(61, n),
        status: n % 5 === 0 ? 502 : 200,
      })),
      // Two minutes of ten: one in a hundred of what others ask for within these fails.
      rows(11, 10, (n) => ({ service: 'hiccup', path: `/v1/list/${n}`, status: 502 })),
      rows(600, 1, (n) => ({
        service: 'hiccup',
        path: `/v1/other/${n}`,
        ip: member(59, n % 200),
        status: n < 120 && n % 20 === 0 ? 502 : 200,
      })),
    ]),
    because: 'the service is down for everybody, for an hour or for two minutes',
  },
  crawl: {
    guilty: rows(41, 1.4, (n) => ({ path: `/p/${n}` })),
    honest: rows(80, 1.4, (n) => ({ path: `/p/${n % 20}` })),
    because: 'it opens the same pages',
  },
  cache_busting: {
    guilty: rows(40, 0.02, (n) => ({ path: '/', query: `${n}=a${n}` })),
    honest: rows(40, 0.02, (n) => ({ path: `/v1/part/${n}`, query: 'v=7' })),
    because: 'a page that loads forty parts asks for different paths',
  },
  limit_violator: {
    guilty: rows(5, 9, () => ({ path: '/v1/search', status: 429, action: 'rate_limited' })),
    honest: rows(20, 0.04, () => ({ path: '/v1/search', status: 429, action: 'rate_limited' })),
    because: 'it met the limit once, with all that a page loads, and then waited',
  },
  login_brute_force: {
    guilty: rows(6, 9, () => login(401, { path: '/client' })),
    honest: each([
      rows(20, 150, (n) => login(401, { userId: `u${n}` })),
      rows(24, 120, (n) => login(302, { userId: `u${n}` })),
    ]),
    because: 'as many get in as mistype',
  },
  login_brute_force_200: {
    guilty: rows(9, 0.1, () => wordPress()),
    honest: each([
      rows(24, 100, () => wordPress({ status: 302 })),
      rows(24, 100, (n) => login(200, { path: '/api/login', userId: `u${n}`, userAgent: `B${n}` })),
      rows(48, 50, () => ({ path: '/orders' })),
    ]),
    because: 'they got in, and went on to work',
  },
  credential_stuffing: {
    guilty: rows(20, 170, (n) => login(401, { userId: `stolen-${n}` })),
    honest: each([
      rows(20, 170, (n) => login(401, { userId: `m${n}` })),
      rows(20, 170, (n) => login(302, { userId: `m${n}` })),
    ]),
    because: 'all of them got in at last',
  },
  password_spraying: {
    guilty: rows(6, 60, (n) => login(401, { userId: 'target', ip: n === 0 ? undefined! : member(62, n) })),
    honest: rows(6, 60, (n) =>
      login(n === 5 ? 302 : 401, { userId: 'roaming', ip: n < 2 || n === 5 ? undefined! : member(63, n) }),
    ),
    because: 'four strangers are not five, and the fifth is where the user got in',
  },
  distributed_login: {
    guilty: rows(40, 80, (n) => wordPress({ userAgent: 'Old', ip: n < 2 ? undefined! : member(64, n >> 1) })),
    honest: each([
      rows(30, 100, (n) => login(401, { userAgent: 'Chrome', ip: n === 0 ? undefined! : member(65, n) })),
      rows(30, 100, (n) => ({
        path: '/assets/app.css',
        userAgent: 'Chrome',
        ip: n === 0 ? undefined! : member(65, n),
      })),
    ]),
    because: 'people load the page before they mistype',
  },
  user_agent_rotation: {
    guilty: rows(15, 60, (n) => ({ path: '/p/1', userAgent: `Browser/${n % 5}` })),
    honest: each([rows(30, 60, (n) => ({ path: '/p/1', userAgent: `Browser/${n % 10}` })), files(30)]),
    because: 'a family loads files too',
  },
  beaconing: {
    guilty: rows(30, 100, (n) => ({ path: '/report', at: n * 100 + (n % 3) })),
    honest: rows(30, 100, (n) => ({ path: '/report', at: n * 100 + ((n * 37) % 90) })),
    because: 'its gaps are uneven',
  },
  referrer_spam: {
    guilty: rows(6, 300, (n) => ({ path: '/', referer: `http://spam${n % 3}.example/` })),
    honest: each([rows(6, 300, (n) => ({ path: '/', referer: `https://search${n % 3}.example/` })), files(4)]),
    because: 'its browser loads the page',
  },
  fake_search_engine: {
    guilty: [{ path: '/', userAgent: 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)' }],
    honest: each([
      rows(200, 0.2, (n) => ({
        ip: '66.249.66.1',
        path: `/p/${n}`,
        userAgent: 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
      })),
      [{ path: '/', userAgent: 'Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)' }],
    ]),
    because: 'one is what it says, the other is no search engine',
  },
  fingerprint_swarm: {
    guilty: rows(10, 300, (n) => ({
      path: `/old/${n % 4}.php`,
      status: 404,
      userAgent: 'Firefox/60',
      referer: 'http://swarm.example/',
      ip: n < 2 ? undefined! : member(66, n >> 1),
    })),
    honest: rows(10, 300, (n) => ({
      path: '/dead-link',
      status: 404,
      userAgent: 'Chrome/150',
      referer: 'https://forum.example/',
      ip: n === 0 ? undefined! : member(67, n),
    })),
    because: 'all of them followed the same dead link',
  },
  network_swarm: {
    guilty: Array.from({ length: 5 }, (_, host) =>
      rows(11, 30, (n) => ({ path: `/word${n}`, status: 404, ip: host === 0 ? undefined! : `20.19.1.${host + 1}` })),
    ).flat(),
    honest: Array.from({ length: 5 }, (_, host) =>
      rows(10, 30, (n) => ({ path: `/${n}`, ip: host === 0 ? undefined! : `21.19.1.${host + 1}` })),
    ).flat(),
    because: 'its neighbours are visitors',
  },
  repeat_offender: {
    guilty: rows(11, 60, (n) => ({ path: `/word${n}`, status: 404 })),
    honest: rows(9, 60, (n) => ({ path: `/word${n}`, status: 404 })),
    because: 'it is not flagged now',
  },
  low_and_slow: {
    guilty: [{ path: '/.env' }],
    honest: [{ path: '/' }],
    because: 'its past has nine, in the same number of hours',
  },
  new_country: {
    guilty: [{ path: '/account', userId: 'homebody', country: 'VN' }],
    honest: [
      { path: '/account', userId: 'homebody', country: 'DE' },
      { path: '/account', userId: 'newcomer', country: 'VN' },
    ],
    because: 'at home, and a user without a past',
  },
  impossible_travel: { guilty: [], honest: [], because: 'the other address is where the user lives' },
  volume_anomaly: {
    guilty: rows(60, 59, () => ({ path: '/v1/stock' })),
    honest: rows(60, 59, () => ({ path: '/v1/stock' })),
    because: 'it asked for forty before',
  },
}

export const IDS = Object.keys(CASES)
export const guiltyOf = (id: string) => `20.${IDS.indexOf(id)}.1.1`
export const honestOf = (id: string) => `21.${IDS.indexOf(id)}.1.1`
