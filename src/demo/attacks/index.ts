import { createAddressBook } from '../addresses.ts'
import type { Recorder } from '../recorder.ts'
import type { Services } from '../services.ts'
import { createAttackContext, type Attack } from './context.ts'
import * as injection from './injection.ts'
import * as login from './login.ts'
import * as probing from './probing.ts'
import * as swarms from './swarms.ts'
import * as volume from './volume.ts'

const ATTACKS: Record<string, Attack> = {
  wordlist: probing.wordlist,
  probing: probing.probing,
  sensitiveFiles: probing.sensitiveFiles,
  adminPaths: probing.adminPaths,
  webshells: probing.webshells,
  scanners: probing.scanners,
  openProxy: probing.openProxy,
  trapPath: probing.trapPath,
  lowAndSlow: probing.lowAndSlow,
  repeatOffender: probing.repeatOffender,
  fakeSearchEngine: probing.fakeSearchEngine,
  pathTraversal: injection.pathTraversal,
  sqlInjection: injection.sqlInjection,
  crossSiteScripting: injection.crossSiteScripting,
  commandInjection: injection.commandInjection,
  succeeded: injection.succeeded,
  bruteForce: login.bruteForce,
  bruteForce200: login.bruteForce200,
  credentialStuffing: login.credentialStuffing,
  spraying: login.spraying,
  distributedLogin: login.distributedLogin,
  takeovers: login.takeovers,
  scraper: volume.scraper,
  burst: volume.burst,
  crawl: volume.crawl,
  enumeration: volume.enumeration,
  serverErrors: volume.serverErrors,
  anomaly: volume.anomaly,
  beacon: volume.beacon,
  cacheBusting: volume.cacheBusting,
  limitViolator: volume.limitViolator,
  agentRotation: volume.agentRotation,
  networkSwarm: swarms.networkSwarm,
  fingerprintSwarm: swarms.fingerprintSwarm,
  referrerSpam: swarms.referrerSpam,
}

/** Records every attack, once for each begun 100,000 requests of the day. */
export const recordAttacks = (recorder: Recorder, services: Services, seed: number, scale: number): void => {
  const addresses = createAddressBook()
  for (let round = 0; round < Math.max(1, Math.round(scale)); round++) {
    for (const [name, attack] of Object.entries(ATTACKS)) {
      attack(createAttackContext(recorder, services, addresses, { name, seed, round, scale: Math.min(1, scale) }))
    }
  }
}
