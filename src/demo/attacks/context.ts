import { BOTNET, HOSTING, HOSTING_V6, type AddressBook } from '../addresses.ts'
import { chromeOnWindows } from '../agents.ts'
import type { AttackKind, Client } from '../event.ts'
import type { Random } from '../random.ts'
import { HOUR, MINUTE, type Recorder } from '../recorder.ts'
import { unknownRoute, type RequestOptions, type Route, type Service, type Services } from '../services.ts'

/** What an attack is given: its own chance, addresses that nobody else has, and a way to the services. */
export interface AttackContext {
  recorder: Recorder
  random: Random
  seed: number
  /** 0 for the first; a day of more than 100,000 requests repeats every attack from other addresses. */
  round: number
  /** A moment by its share of the day, of which the last 90 minutes are left for what begins then. */
  moment: (share: number) => number
  /** How many, on a smaller day: `usual` shrinks with it, but not below `least`, where no one could tell it from chance. */
  size: (usual: number, least: number) => number
  /** An attacker on a rented machine, behind a browser's user agent. */
  rented: () => Client
  /** Someone's router or phone that is no longer theirs. */
  hijacked: () => Client
  /** An address of one network. */
  within: (cidr: string) => string
  send: (at: number, client: Client, route: Route, kinds: readonly AttackKind[], options: RequestOptions) => number
  /** Asks for something that the service does not have. */
  probe: (
    at: number,
    client: Client,
    service: Service,
    path: string,
    kinds: readonly AttackKind[],
    options?: Partial<RequestOptions> & { method?: string },
  ) => void
}

export type Attack = (context: AttackContext) => void

export const createAttackContext = (
  recorder: Recorder,
  services: Services,
  addresses: AddressBook,
  { name, seed, round, scale }: { name: string; seed: number; round: number; scale: number },
): AttackContext => {
  const random = recorder.random(`attack ${name} ${round}`)
  const context: AttackContext = {
    recorder,
    random,
    seed,
    round,
    moment: (share) => recorder.from + share * 22 * HOUR + random.float() * 30 * MINUTE,
    size: (usual, least) => Math.max(least, Math.round(usual * scale * (0.85 + 0.3 * random.float()))),
    rented: () => ({
      ip: addresses.take(random, random.chance(0.08) ? HOSTING_V6 : HOSTING),
      userAgent: chromeOnWindows(random),
    }),
    hijacked: () => ({ ip: addresses.take(random, BOTNET), userAgent: chromeOnWindows(random) }),
    within: (cidr) => addresses.take(random, [cidr]),
    send: (at, client, route, kinds, options) => services.serve(random, at, client, route, { ...options, kinds }),
    probe: (at, client, service, path, kinds, { method = 'GET', ...options } = {}) => {
      context.send(at, client, unknownRoute(service, method), kinds, { path, ...options })
    },
  }
  return context
}
