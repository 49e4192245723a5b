import { addressIn, countryOf } from '../addresses.ts'
import { desktopBrowser, mobileBrowser } from '../agents.ts'
import type { AttackKind, Client } from '../event.ts'
import { createRandom } from '../random.ts'
import { HOUR, MINUTE, SECOND, type Recorder } from '../recorder.ts'
import { HOSTS, ROUTES, type Services } from '../services.ts'
import type { Attack, AttackContext } from './context.ts'

const someUser = ({ random }: AttackContext): string => `u-${random.int(1_000_000, 9_999_999)}`

const tryLogin = (
  context: AttackContext,
  at: number,
  client: Client,
  userId: string,
  kinds: readonly AttackKind[],
  status = 401,
): void => {
  context.send(at, { ...client, userId }, ROUTES.login, kinds, { path: '/login', status })
}

/** One account, one address, a list of passwords. */
export const bruteForce: Attack = (context) => {
  const { random, rented, moment, size } = context
  for (const [count, gap] of [
    [size(240, 40), 4 * SECOND],
    [30, 2 * SECOND],
  ] as const) {
    const client = { ...rented(), userAgent: 'python-requests/2.32.5' }
    const user = someUser(context)
    let at = moment(0.2 + 0.6 * random.float())
    for (let i = 0; i < count; i++) {
      at += random.exponential(gap)
      tryLogin(context, at, client, user, ['login_brute_force'])
    }
  }
}

/** WordPress says no with 200. */
export const bruteForce200: Attack = ({ random, hijacked, moment, size, send }) => {
  for (const count of [size(180, 30), 26]) {
    const client = hijacked()
    let at = moment(random.float() * 0.9)
    for (let i = 0; i < count; i++) {
      at += random.exponential(5 * SECOND)
      send(at, client, ROUTES.wpLogin, ['login_brute_force_200'], {
        path: '/wp-login.php',
        referer: `https://${HOSTS.blog}/wp-login.php`,
      })
    }
  }
}

/** A list of stolen pairs: a new name each time, and one in fifty opens. */
export const credentialStuffing: Attack = (context) => {
  const { random, rented, moment, size } = context
  const client = rented()
  let at = moment(0.45)
  for (let i = 0; i < size(220, 50); i++) {
    at += random.exponential(6 * SECOND)
    tryLogin(
      context,
      at,
      client,
      someUser(context),
      ['credential_stuffing', 'login_brute_force'],
      random.chance(0.02) ? 302 : 401,
    )
  }
}

/** Few accounts, many addresses, one guess each. */
export const spraying: Attack = (context) => {
  const { random, hijacked, moment, size } = context
  const users = Array.from({ length: size(8, 3) }, () => someUser(context))
  const start = moment(0.3)
  for (let i = 0; i < size(16, 9); i++) {
    const client = hijacked()
    for (const user of users) {
      if (random.chance(0.75)) tryLogin(context, start + random.float() * 3 * HOUR, client, user, ['password_spraying'])
    }
  }
}

/** The same door, from everywhere, each address too seldom to count. */
export const distributedLogin: Attack = (context) => {
  const { random, hijacked, size, recorder } = context
  for (let i = 0; i < size(64, 30); i++) {
    const client = {
      ...hijacked(),
      userAgent: 'Mozilla/5.0 (Windows NT 6.1; WOW64; rv:54.0) Gecko/20100101 Firefox/54.0',
    }
    for (let n = random.int(1, 3); n > 0; n--) {
      tryLogin(context, recorder.from + random.float() * 24 * HOUR, client, someUser(context), ['distributed_login'])
    }
  }
}

/** Users whose accounts are taken over on a day with attacks. On every day they log in from home. */
const VICTIMS = [
  { userId: 'u-2048170', home: 'DE', abroad: 'BR', hoursLater: 0.7, kind: 'impossible_travel' },
  { userId: 'u-5512038', home: 'FR', abroad: 'VN', hoursLater: 9, kind: 'new_country' },
  { userId: 'u-7300661', home: 'GB', abroad: 'JP', hoursLater: 1.4, kind: 'impossible_travel' },
] as const

const homeLogin = (recorder: Recorder, userId: string): number =>
  recorder.clock(7, 30) + recorder.random(`home ${userId}`).float() * HOUR

/** The users' own visits, which are part of every day. */
export const recordVictimsAtHome = (recorder: Recorder, services: Services, seed: number): void => {
  for (const { userId, home } of VICTIMS) {
    const identity = createRandom(`${seed}/victim/${userId}`)
    const client: Client = {
      ip: addressIn(identity, identity.pick(countryOf(home).v4)),
      userAgent: identity.chance(0.5) ? mobileBrowser(identity) : desktopBrowser(identity),
      userId,
      protocol: 'HTTP/2.0',
    }
    const random = recorder.random(`victim ${userId}`)
    let at = homeLogin(recorder, userId)
    services.serve(random, at, client, ROUTES.login, { path: '/login', status: 302 })
    for (const path of ['/account', '/account/orders']) {
      at += random.logNormal(20 * SECOND, 0.5)
      services.serve(random, at, client, path === '/account' ? ROUTES.account : ROUTES.accountOrders, { path })
    }
  }
}

/** Someone else has the password and is very far away. */
export const takeovers: Attack = ({ recorder, random, round, within, send }) => {
  if (round > 0) return
  for (const { userId, abroad, hoursLater, kind } of VICTIMS) {
    const client: Client = {
      ip: within(random.pick(countryOf(abroad).v4)),
      userAgent: desktopBrowser(random),
      userId,
      protocol: 'HTTP/2.0',
    }
    // A day that begins after breakfast has the visit at home in its last hours; the other country then comes before.
    const home = homeLogin(recorder, userId)
    let at = home + hoursLater * HOUR < recorder.to - HOUR ? home + hoursLater * HOUR : home - hoursLater * HOUR
    send(at, client, ROUTES.login, [kind], { path: '/login', status: 302 })
    for (const [route, path] of [
      [ROUTES.account, '/account'],
      [ROUTES.accountOrders, '/account/orders'],
      [ROUTES.apiMe, '/v1/me'],
    ] as const) {
      at += random.logNormal(12 * SECOND, 0.5)
      send(at, client, route, [kind], { path })
    }
    at += 2 * MINUTE
    send(at, client, ROUTES.apiOrders, [kind], { path: '/v1/orders', query: 'limit=200' })
  }
}
