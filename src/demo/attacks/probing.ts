import { PRODUCTS } from '../catalog.ts'
import type { Client } from '../event.ts'
import { HOUR, SECOND } from '../recorder.ts'
import { ROUTES, type Service } from '../services.ts'
import type { Attack } from './context.ts'

const WORDS =
  'account admin2 adm api2 app archive assets2 auth back backup beta bin blog2 build cache cgi-bin client cms conf config console core cron css2 data db debug demo dev dist docs download dump edit engine error etc export ext files forum ftp git hidden home2 image img2 inc include index install internal java js2 lib library local log logs mail manage manager media member mobile module monitor mysql new node office old old-site order panel phpinfo pma portal private proxy public root rss run script search2 secret secure server service setup shop2 site sql src stage staging stat static2 status storage store svn sys system tmp tool tools tpl trunk upload user users util v2 vendor view web webmail wiki work xml zip'.split(
    ' ',
  )
const ENDINGS = ['', '/', '.php', '.bak', '.old', '.zip', '.txt', '.html']

const SENSITIVE_FILES = [
  '/.env',
  '/.env.local',
  '/.env.production',
  '/api/.env',
  '/.git/config',
  '/.git/HEAD',
  '/.aws/credentials',
  '/.svn/entries',
  '/.DS_Store',
  '/.htpasswd',
  '/backup.sql',
  '/dump.sql.gz',
  '/db/marlow.sql',
  '/wp-config.php.bak',
  '/config.yml~',
  '/.vscode/sftp.json',
  '/docker-compose.yml',
  '/id_rsa',
  '/server.key',
]

const ADMIN_PATHS = [
  '/admin/',
  '/administrator/index.php',
  '/phpmyadmin/',
  '/phpMyAdmin/index.php',
  '/pma/',
  '/adminer.php',
  '/manager/html',
  '/wp-admin/install.php',
  '/user/login',
  '/cpanel',
  '/console/',
  '/solr/admin/info/system',
  '/actuator/env',
  '/jenkins/script',
  '/_cat/indices',
]

const WEBSHELLS = [
  '/c99.php',
  '/r57.php',
  '/wso.php',
  '/b374k.php',
  '/shell.php',
  '/alfa.php',
  '/wp-content/plugins/akismet/shell.php',
  '/wp-content/uploads/wso112233.php',
  '/uploads/cmd.php',
  '/mini.php',
  '/indoxploit.php',
  '/up.php',
  '/x.aspx',
  '/images/1.php',
]

const SERVICES: readonly Service[] = ['shop', 'blog', 'api', 'auth', 'admin']

/** A word list from end to end, as fast as the line allows. */
export const wordlist: Attack = ({ random, rented, moment, size, probe }) => {
  const client = rented()
  const paths = random
    .shuffle(WORDS.flatMap((word) => ENDINGS.map((ending) => `/${word}${ending}`)))
    .slice(0, size(760, 270))
  let at = moment(0.62)
  for (const path of paths) {
    at += random.exponential(420)
    const status = random.chance(0.03) ? 403 : 404
    probe(at, client, 'shop', path, ['not_found_probing', 'error_ratio', 'error_burst'], { status })
  }
}

/** Short lists by several who are in no hurry. */
export const probing: Attack = ({ random, rented, moment, size, probe }) => {
  for (let i = 0; i < size(5, 3); i++) {
    const client = rented()
    const service = random.pick(SERVICES)
    let at = moment(0.1 + 0.8 * random.float())
    for (const path of random.shuffle(WORDS).slice(0, random.int(13, 42))) {
      at += random.exponential(2.5 * SECOND)
      probe(at, client, service, `/${path}`, ['not_found_probing', 'error_ratio'])
    }
  }
}

export const sensitiveFiles: Attack = ({ random, rented, moment, size, probe }) => {
  for (let i = 0; i < size(7, 3); i++) {
    const client: Client = { ...rented(), ...(random.chance(0.4) && { userAgent: 'Mozilla/5.0 (X11; Linux x86_64)' }) }
    const service = random.pick(SERVICES)
    let at = moment(random.float())
    for (const path of random.shuffle(SENSITIVE_FILES).slice(0, random.int(3, 9))) {
      at += random.exponential(900)
      probe(at, client, service, path, ['sensitive_file'], { status: random.chance(0.2) ? 403 : 404 })
    }
  }
}

export const adminPaths: Attack = ({ random, rented, moment, size, probe }) => {
  for (let i = 0; i < size(5, 3); i++) {
    const client = rented()
    const service = random.pick(SERVICES)
    let at = moment(random.float())
    for (const path of random.shuffle(ADMIN_PATHS).slice(0, random.int(5, 13))) {
      at += random.exponential(4 * SECOND)
      probe(at, client, service, path, ['admin_probing', 'sensitive_path'], { status: random.chance(0.3) ? 403 : 404 })
    }
  }
}

export const webshells: Attack = ({ random, hijacked, moment, size, probe }) => {
  for (let i = 0; i < size(4, 2); i++) {
    const client = hijacked()
    let at = moment(random.float())
    for (const path of random.shuffle(WEBSHELLS).slice(0, random.int(4, 13))) {
      at += random.exponential(1.5 * SECOND)
      probe(at, client, 'blog', path, ['backdoor_probe'], { method: random.chance(0.2) ? 'POST' : 'GET' })
    }
  }
}

/** Tools that say their own names. */
export const scanners: Attack = ({ random, rented, moment, size, probe }) => {
  const tools: readonly (readonly [userAgent: string, most: number])[] = [
    ['Mozilla/5.00 (Nikto/2.5.0) (Evasions:None) (Test:map_codes)', 150],
    ['Mozilla/5.0 (compatible; Nuclei - Open-source project (github.com/projectdiscovery/nuclei))', 90],
    ['WPScan v3.8.28 (https://wpscan.com/wordpress-security-scanner)', 70],
    ['Mozilla/5.0 zgrab/0.x', 2],
    ['masscan/1.3 (https://github.com/robertdavidgraham/masscan)', 2],
    ['gobuster/3.8', 110],
    ['Wfuzz/3.1.0', 40],
    ['Mozilla/5.0 (compatible; CensysInspect/1.1; +https://about.censys.io/)', 4],
  ]
  for (const [userAgent, most] of tools) {
    const client: Client = { ip: rented().ip, userAgent }
    const service = userAgent.includes('WPScan') ? 'blog' : random.pick(['shop', 'api', 'blog'] as const)
    let at = moment(random.float())
    for (const word of random.shuffle(WORDS).slice(0, size(most, Math.min(most, 12)))) {
      at += random.exponential(600)
      const path = userAgent.includes('WPScan')
        ? `/wp-content/plugins/${word}/readme.txt`
        : `/${word}${random.pick(ENDINGS)}`
      probe(at, client, service, path, most > 10 ? ['scanner_user_agent', 'not_found_probing'] : ['scanner_user_agent'])
    }
  }
}

/** Looks for a server that fetches anything for anyone. */
export const openProxy: Attack = ({ random, hijacked, moment, probe }) => {
  for (let i = 0; i < 3; i++) {
    const client: Client = { ip: hijacked().ip, userAgent: random.pick(['Go-http-client/1.1', 'Mozilla/5.0']) }
    const at = moment(random.float())
    probe(at, client, 'shop', 'checkip.example:443', ['open_proxy_probe'], {
      method: 'CONNECT',
      status: 405,
      bytes: 157,
    })
    probe(at + 800, client, 'shop', 'http://checkip.example/whoami', ['open_proxy_probe'], { status: 404 })
    // What port scanners say to find out which protocol is spoken.
    probe(at + 1_900, { ...client, protocol: 'RTSP/1.0' }, 'shop', '/', ['open_proxy_probe'], {
      method: 'OPTIONS',
      status: 400,
      bytes: 157,
    })
    probe(at + 2_700, { ...client, protocol: 'SIP/2.0' }, 'shop', 'sip:nm', ['open_proxy_probe'], {
      method: 'OPTIONS',
      status: 400,
      bytes: 157,
    })
  }
}

/** Reads robots.txt for what it forbids, then asks for just that: nothing links there. */
const TRAP_PATH = '/internal/price-lists-2019/'
export const trapPath: Attack = ({ random, rented, moment, probe, send }) => {
  for (let i = 0; i < 3; i++) {
    const client = rented()
    const at = moment(random.float())
    send(at, client, ROUTES.robots, ['trap_path'], { path: '/robots.txt' })
    probe(at + 2_500, client, 'shop', TRAP_PATH, ['trap_path'])
  }
}

/** One look every hour or two, all day long: no hour holds enough to notice. */
export const lowAndSlow: Attack = ({ recorder, random, rented, size, probe }) => {
  for (let i = 0; i < size(3, 2); i++) {
    const client = rented()
    const paths = random.shuffle([...SENSITIVE_FILES, ...ADMIN_PATHS, ...WEBSHELLS]).slice(0, random.int(14, 18))
    for (const [turn, path] of paths.entries()) {
      const at = recorder.from + (turn + 0.2 + 0.6 * random.float()) * ((24 * HOUR) / paths.length)
      probe(at, client, random.pick(SERVICES), path, ['low_and_slow'])
    }
  }
}

/** Comes back, is shown the door, and comes back. */
export const repeatOffender: Attack = ({ random, rented, moment, probe }) => {
  for (let i = 0; i < 2; i++) {
    const client = rented()
    for (const share of [0.12, 0.35, 0.58, 0.83]) {
      let at = moment(share)
      for (const word of random.shuffle(WORDS).slice(0, random.int(18, 26))) {
        at += random.exponential(5 * SECOND)
        probe(at, client, 'shop', `/${word}.php`, ['repeat_offender', 'not_found_probing'])
      }
    }
  }
}

/** Says it is a search engine; its address says otherwise. */
export const fakeSearchEngine: Attack = ({ random, rented, moment, size, probe, send }) => {
  const google = 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)'
  const bing = 'Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)'
  for (const [userAgent, count] of [
    [google, size(90, 20)],
    [google, 6],
    [bing, 4],
  ] as const) {
    const client: Client = { ip: rented().ip, userAgent }
    let at = moment(random.float())
    for (let i = 0; i < count; i++) {
      at += random.exponential(9 * SECOND)
      if (random.chance(0.7))
        send(at, client, ROUTES.product, ['fake_search_engine'], { path: `/p/${random.pick(PRODUCTS).slug}` })
      else probe(at, client, 'shop', `/${random.pick(WORDS)}/`, ['fake_search_engine'])
    }
  }
}
