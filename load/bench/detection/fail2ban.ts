import { type ChildProcess, spawn } from 'node:child_process'
import { promises as dns } from 'node:dns'
import { once } from 'node:events'
import { existsSync, globSync } from 'node:fs'
import { appendFile, cp, type FileHandle, mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

import type { LogRow } from '../../../test/support/request-logs.ts'
import { combinedLine, stamp } from './combined.ts'

const SERVER = '/usr/bin/fail2ban-server'
/** By how much the clock goes on at a time: in operation fail2ban believes a line's own time up to a minute. */
const STEP_MS = 60_000
const READ_WITHIN_MS = 60_000
/** Lines of this address end a step: a jail that has found it has read all that stands before it. */
const SENTINEL = '192.0.2.254'

/**
 * Debian's jails whose filters match lines of access logs, and what of the sentinel's lines they match. maxretry and
 * findtime are jail.conf's: 5 in 10 minutes, of apache-badbots and apache-fakegooglebot 1.
 */
const JAILS: Readonly<Record<string, string>> = {
  'nginx-bad-request': '- "x" 400 0 "-" "-"',
  'nginx-botsearch': '- "GET /wp-login.php HTTP/1.1" 404 0 "-" "-"',
  'apache-badbots': '- "GET / HTTP/1.1" 200 0 "-" "autoemailspider"',
  'apache-fakegooglebot': '- "GET / HTTP/1.1" 200 0 "-" "Googlebot/2.1"',
  'php-url-fopen': '- "GET /?a=http://a HTTP/1.1" 200 0 "-" "-"',
  'traefik-auth': 'a "GET / HTTP/1.1" 401 0 "-" "-"',
}
/** Filters that match lines of error logs only: they have nothing to say about an access log. */
const ERROR_LOG_JAILS =
  'apache-auth, apache-noscript, apache-overflows, apache-nohome, apache-botsearch, apache-modsecurity, apache-shellshock, nginx-http-auth, nginx-limit-req, lighttpd-auth, suhosin, zoneminder'

export interface Ban {
  jail: string
  address: string
}

export interface Fail2banRun {
  bans: Ban[]
  seconds: number
}

export interface Fail2ban {
  /** What is run and what is not, for people. */
  note: string
  /** Sends the rows past a server of their own, in the order of time. */
  run: (rows: readonly LogRow[]) => Promise<Fail2banRun>
}

/**
 * Starts fail2ban's server and sets its clock to what comes in by standard input, a number of seconds by which libfaketime
 * is to be off, and answers each. Python's own sleep fails under libfaketime where the steady clock is left alone, and all
 * waiting hangs where it is not, so it gets
 * another, with which those who read look more often. Nothing else of fail2ban is touched.
 */
const LAUNCHER = `import os, runpy, select, sys, threading, time
def follow():
    for line in sys.stdin:
        os.environ['FAKETIME'] = line.strip()
        os.write(1, b'.')
threading.Thread(target=follow, daemon=True).start()
def sleep(seconds):
    reads = threading.current_thread().name.startswith('f2b/f.')
    select.select([], [], [], min(seconds, 0.005) if reads else seconds)
time.sleep = sleep
sys.argv[0] = '${SERVER}'
runpy.run_path('${SERVER}', run_name='__main__')
`

/**
 * Debian's own configuration with the jails switched on, without actions, names and database. Bans last: the clock goes a
 * thousand times faster than ours, and a ban that has run out before it is given is passed over.
 */
const configure = async (folder: string, jails: readonly string[]): Promise<void> => {
  const path = (name: string) => join(folder, name)
  await cp('/etc/fail2ban', path('conf'), { recursive: true })
  await rm(path('conf/jail.d'), { recursive: true, force: true })
  await mkdir(path('conf/jail.d'))
  const defaults = '[DEFAULT]\naction =\nusedns = no\nbantime = -1\nbackend = pyinotify\nignoreself = false\nignoreip ='
  const enabled = jails.map((jail) => `[${jail}]\nenabled = true\nbantime = -1\nlogpath = ${path('access.log')}`)
  await writeFile(path('conf/jail.local'), [defaults, ...enabled].join('\n'))
  await writeFile(
    path('conf/fail2ban.local'),
    `[Definition]\nloglevel = INFO\nlogtarget = ${path('fail2ban.log')}\nsocket = ${path('socket')}\npidfile = ${path('pid')}\ndbfile = None\n`,
  )
  await writeFile(path('launch.py'), LAUNCHER)
  await writeFile(path('access.log'), '')
  await writeFile(path('fail2ban.log'), '')
}

/** Follows fail2ban's own log: who was banned, and how often each jail has met the sentinel. */
const followLog = (file: FileHandle, server: ChildProcess) => {
  const bans: Ban[] = []
  const met = new Map<string, number>()
  const started = new Set<string>()
  const buffer = Buffer.alloc(1 << 20)
  let rest = ''
  const readLine = (line: string): void => {
    const jail = /Jail '(.+)' started/.exec(line)?.[1]
    if (jail) started.add(jail)
    const [, where, what, address] = /\[([\w-]+)\] (Found|Ban) (\S+)/.exec(line) ?? []
    if (!where || !address) return
    if (address === SENTINEL) {
      if (what === 'Found') met.set(where, (met.get(where) ?? 0) + 1)
    } else if (what === 'Ban') bans.push({ jail: where, address })
  }
  return {
    bans,
    met: (jail: string) => met.get(jail) ?? 0,
    started,
    until: async (done: () => boolean): Promise<void> => {
      const end = performance.now() + READ_WITHIN_MS
      while (!done()) {
        if (server.exitCode !== null || performance.now() > end)
          throw new Error(`fail2ban-server does not go on; the end of its log: ${rest}`)
        const { bytesRead } = await file.read(buffer, 0, buffer.length, null)
        if (bytesRead === 0) await wait(2)
        const lines = (rest + buffer.toString('latin1', 0, bytesRead)).split('\n')
        rest = lines.pop()!
        lines.forEach(readLine)
      }
    },
  }
}

/** As libfaketime has it: by how many seconds the clock is off, with its sign. */
const clockAt = (time: number): string => {
  const ahead = Math.round((time - Date.now()) / 1_000)
  return ahead < 0 ? String(ahead) : `+${ahead}`
}

const replay = async (library: string, jails: readonly string[], rows: readonly LogRow[]): Promise<Fail2banRun> => {
  const startedAt = performance.now()
  const folder = await mkdtemp(join(tmpdir(), 'vedette-fail2ban-'))
  const sorted = [...rows].sort((a, b) => a.timestamp.getTime() - b.timestamp.getTime())
  await configure(folder, jails)
  const server = spawn('/usr/bin/python3', [join(folder, 'launch.py'), '-c', join(folder, 'conf'), '-f', 'start'], {
    env: {
      ...process.env,
      LD_PRELOAD: library,
      FAKETIME: clockAt(sorted[0]!.timestamp.getTime()),
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      TZ: 'UTC',
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  const setClock = async (time: number): Promise<void> => {
    const answered = once(server.stdout, 'data')
    server.stdin.write(`${clockAt(time)}\n`)
    await answered
  }
  const file = await open(join(folder, 'fail2ban.log'))
  try {
    const followed = followLog(file, server)
    await followed.until(() => followed.started.size === jails.length)
    let steps = 0
    for (let from = 0; from < sorted.length; steps++) {
      const end = (Math.floor(sorted[from]!.timestamp.getTime() / STEP_MS) + 1) * STEP_MS
      let to = from
      while (to < sorted.length && sorted[to]!.timestamp.getTime() < end) to++
      const lines = sorted.slice(from, to).map(combinedLine)
      const last = stamp(sorted[to - 1]!.timestamp)
      for (const jail of jails) lines.push(`${SENTINEL} - ${JAILS[jail]!.replace(' ', ` [${last}] `)}`)
      await setClock(end)
      await appendFile(join(folder, 'access.log'), `${lines.join('\n')}\n`)
      await followed.until(() => jails.every((jail) => followed.met(jail) > steps))
      from = to
    }
    // Bans are given by a thread of their own, twice a second.
    await wait(1_500)
    let before = -1
    await followed.until(() => {
      const settled = before === followed.bans.length
      before = followed.bans.length
      return settled
    })
    return { bans: followed.bans, seconds: (performance.now() - startedAt) / 1_000 }
  } finally {
    await file.close()
    if (server.exitCode === null && server.kill()) await once(server, 'exit')
    await rm(folder, { recursive: true, force: true })
  }
}

/** Whether Google's names can be looked up. */
const namesAnswer = async (): Promise<boolean> => {
  const resolver = new dns.Resolver({ timeout: 1_000, tries: 1 })
  return resolver.reverse('66.249.66.1').then(
    (names) => names.length > 0,
    () => false,
  )
}

/** @returns a string: why it cannot be run here */
export const openFail2ban = async (): Promise<Fail2ban | string> => {
  const library = globSync('/usr/lib/*/faketime/libfaketimeMT.so.1')[0]
  if (!existsSync(SERVER) || !library)
    return 'fail2ban or libfaketime is not installed: apt-get install fail2ban faketime'
  const names = await namesAnswer()
  const jails = Object.keys(JAILS).filter((jail) => names || jail !== 'apache-fakegooglebot')
  return {
    note: [
      `fail2ban-server of Debian itself, under libfaketime, fed line by line in the order of time with a clock that goes along, its jails ${jails.join(', ')} with jail.conf's maxretry and findtime; bans last for good.`,
      ...(names ? [] : ['apache-fakegooglebot is left out: no DNS here, without which it bans every Googlebot.']),
      `Not switched on, since their filters match lines of error logs only: ${ERROR_LOG_JAILS}.`,
    ].join('\n'),
    run: (rows) => replay(library, jails, rows),
  }
}
