import type { Client } from '../event.ts'
import { HOUR, SECOND } from '../recorder.ts'
import { ROUTES } from '../services.ts'
import type { Attack } from './context.ts'

const TARGETS =
  '/wp-json/wp/v2/users /xmlrpc.php /wp-content/debug.log /.env /vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php /owa/ /cgi-bin/luci /boaform/admin/formLogin /HNAP1/ /actuator/health /server-status /telescope/requests /_ignition/execute-solution /api/v1/pods /config.json /sftp-config.json'.split(
    ' ',
  )

/** A whole /24 of one host takes turns. */
export const networkSwarm: Attack = ({ random, within, moment, size, probe }) => {
  const userAgent =
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/98.0.4758.102 Safari/537.36'
  const start = moment(0.4)
  for (let i = 0; i < size(26, 9); i++) {
    const client: Client = { ip: within('45.155.205.0/24'), userAgent }
    const begin = start + random.float() * 3 * HOUR
    for (const [n, path] of random.shuffle(TARGETS).slice(0, random.int(11, 15)).entries()) {
      probe(
        begin + n * random.logNormal(6 * SECOND, 0.4),
        client,
        random.pick(['shop', 'blog', 'api'] as const),
        path,
        ['network_swarm', 'not_found_probing'],
      )
    }
  }
}

/** Addresses of many countries that act as one: the same old browser, the same foreign referer, hardly a hit. */
export const fingerprintSwarm: Attack = ({ recorder, random, hijacked, size, probe }) => {
  const userAgent = 'Mozilla/5.0 (Windows NT 6.1; rv:60.0) Gecko/20100101 Firefox/60.0'
  for (let i = 0; i < size(34, 12); i++) {
    const client: Client = { ip: hijacked().ip, userAgent }
    const begin = recorder.from + random.float() * 22 * HOUR
    for (const path of random.shuffle(TARGETS).slice(0, random.int(2, 5))) {
      probe(begin + random.float() * HOUR, client, 'blog', path, ['fingerprint_swarm'], {
        referer: 'http://simplesite-search.example/result',
        ...(random.chance(0.04) && { status: 200, bytes: 52_000 }),
      })
    }
  }
}

const SPAM = [
  'best-loans-now',
  'seo-traffic-boost',
  'casino-of-gold',
  'cheap-pills-direct',
  'followers4free',
  'crypto-doubler',
]

/** Wants its name in someone's published statistics. */
export const referrerSpam: Attack = ({ recorder, random, hijacked, size, send }) => {
  for (let i = 0; i < size(4, 2); i++) {
    const client = hijacked()
    for (let n = random.int(6, 14); n > 0; n--) {
      send(
        recorder.from + random.float() * 24 * HOUR,
        client,
        random.chance(0.8) ? ROUTES.blogHome : ROUTES.home,
        ['referrer_spam'],
        {
          path: '/',
          referer: `http://${random.pick(SPAM)}.example/?ref=${random.int(1, 99)}`,
        },
      )
    }
  }
}
