import { randomInt } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'

import type { Logger } from 'pino'
import { Gauge, type Registry } from 'prom-client'

import type { ClickHouse } from '../../clickhouse/index.ts'
import type { Redis } from '../../redis/index.ts'
import type { SecurityLog } from '../../securitylog/index.ts'
import { createVersions, StoreError, type Version } from '../../store/index.ts'
import { checkPolicy } from './check.ts'
import { createMatch } from './match.ts'
import { type FilePolicy, MOST_POLICIES } from './parse-file.ts'
import { createPolicyFile } from './policy-file.ts'
import { bySpecificity, DEFAULT_ID } from './precedence.ts'
import type { Policies, Policy, PolicySource, PolicyValues } from './types.ts'

export interface PoliciesDependencies {
  clickhouse: ClickHouse
  redis: Redis
  log: Logger
  /** Where a snapshot is kept for starts while ClickHouse is away; undefined: none. */
  dataDir: string | undefined
  /** POLICY_FILE; undefined: none. */
  policyFile: string | undefined
  /** Gets the changes that this process makes, and those of its file. */
  securityLog: Pick<SecurityLog, 'write'>
  /** Gets `vedette_rate_limit_policies` and `vedette_policy_file_good`. */
  registry?: Registry | undefined
  /** How often ClickHouse is asked for changes, whatever was published. Default 1,000. */
  pollMs?: number | undefined
  /** How often POLICY_FILE is looked at; a change is in force after two looks. Default 500. */
  filePollMs?: number | undefined
}

/** As the system that Vedette follows has it: 5 requests a minute for an address, 10 for a user. */
const BUILT_IN: PolicyValues = checkPolicy({
  name: 'default',
  limit: 5,
  authenticatedLimit: 10,
  windowSeconds: 60,
  mode: 'ENFORCE',
})

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

const newId = (): string => `pol_${Array.from({ length: 12 }, () => ALPHABET[randomInt(ALPHABET.length)]).join('')}`

const withoutUndefined = <T extends object>(values: T): Partial<T> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>

const notFound = (id: string): StoreError =>
  new StoreError('NOT_FOUND', `there is no policy ${JSON.stringify(id)}`, { field: 'id' })

/** What is in force, made anew whenever it changes. */
interface State {
  list: readonly Policy[]
  byId: ReadonlyMap<string, Policy>
  match: Policies['match']
}

/** The built-in policy, those stored in ClickHouse over it, and those of POLICY_FILE over both. */
export const createPolicies = (dependencies: PoliciesDependencies): Policies => {
  const { clickhouse, redis, log, dataDir, policyFile, securityLog, registry, pollMs, filePollMs = 500 } = dependencies
  const stored = createVersions<PolicyValues>({ kind: 'rate_limit_policy', clickhouse, redis, log, dataDir, pollMs })
  const file =
    policyFile === undefined
      ? undefined
      : createPolicyFile({
          path: policyFile,
          log,
          pollMs: filePollMs,
          onChange: (before) => {
            rebuild()
            tellOfFile(before)
          },
        })
  const listeners = new Set<() => void>()
  let state: State = { list: [], byId: new Map(), match: () => undefined }

  const asPolicy = (id: string, source: PolicySource, version: number, values: PolicyValues): Policy => {
    const policy = { id, source, version, ...values }
    const known = state.byId.get(id)
    // The same object while nothing about it changes: others remember things by it.
    return known && isDeepStrictEqual(known, policy) ? known : Object.freeze(policy)
  }

  /** Checked again: it may have been written by another release. */
  const fromStore = ({ id, version, value }: Version<PolicyValues>): Policy[] => {
    try {
      return [asPolicy(id, 'STORE', version, checkPolicy(value!))]
    } catch (error) {
      log.error({ err: error, policyId: id }, 'a stored policy does not fit and is left out; save it anew or delete it')
      return []
    }
  }

  const rebuild = (): void => {
    const byId = new Map([[DEFAULT_ID, asPolicy(DEFAULT_ID, 'BUILT_IN', 0, BUILT_IN)]])
    for (const policy of stored.list().flatMap(fromStore)) byId.set(policy.id, policy)
    for (const { id, ...values } of file?.policies() ?? []) byId.set(id, asPolicy(id, 'FILE', 0, values))
    const list = bySpecificity([...byId.values()])
    if (list.length === state.list.length && list.every((policy, index) => policy === state.list[index])) return
    state = { list, byId, match: createMatch(list) }
    for (const listener of listeners) listener()
  }

  const changed = ({ id, name, mode }: Pick<Policy, 'id' | 'name' | 'mode'>, by: string): void =>
    securityLog.write({ event: 'policy_changed', policyId: id, name, mode, by })
  const removed = ({ id, name, mode }: Pick<Policy, 'id' | 'name' | 'mode'>, by: string): void =>
    securityLog.write({ event: 'policy_removed', policyId: id, name, mode, by })

  const tellOfFile = (before: readonly FilePolicy[]): void => {
    const now = file?.policies() ?? []
    for (const policy of now)
      if (!before.some((other) => isDeepStrictEqual(other, policy))) changed(policy, 'POLICY_FILE')
    for (const policy of before) if (!now.some(({ id }) => id === policy.id)) removed(policy, 'POLICY_FILE')
  }

  const refuseFile = (id: string | undefined, what: string): void => {
    if (file?.policies().some((policy) => policy.id === id))
      throw new StoreError('INVALID', `the policy ${JSON.stringify(id)} comes from POLICY_FILE; ${what} it there`, {
        field: 'id',
      })
  }

  stored.onChange(rebuild)
  rebuild()
  if (registry) measure(registry, () => state.list, file?.isGood)

  return {
    start: async () => {
      await file?.start()
      rebuild()
      await stored.start()
    },
    stop: async () => {
      await file?.stop()
      await stored.stop()
    },
    list: () => [...state.list],
    get: (id) => state.byId.get(id),
    match: (target) => state.match(target),
    save: async ({ id, expectedVersion, ...named }, { by, checkService }) => {
      refuseFile(id, 'change')
      if (id === undefined && state.list.length >= MOST_POLICIES)
        throw new StoreError(
          'INVALID',
          `there are ${state.list.length} policies; allowed are ${MOST_POLICIES}: delete one`,
        )
      const own = id ?? newId()
      let isNew = true
      const version = await stored.update(
        own,
        (current) => {
          const known = current?.value ?? (own === DEFAULT_ID ? BUILT_IN : undefined)
          if (id !== undefined && !known) throw notFound(id)
          // One that was removed counts on in the store, but for people it is not there, or built in: 0.
          const at = current?.value ? current.version : 0
          if (expectedVersion !== undefined && expectedVersion !== at)
            throw new StoreError(
              'CONFLICT',
              `policy ${own} is at version ${at} by now, not ${expectedVersion}; read it again and repeat the change`,
              { field: 'expectedVersion' },
            )
          const values = checkPolicy({ ...known, ...withoutUndefined(named) })
          if (known) checkService?.(known.service)
          checkService?.(values.service)
          isNew = !isDeepStrictEqual(values, current?.value)
          return isNew ? values : current?.value
        },
        { by },
      )
      const policy = asPolicy(own, 'STORE', version.version, version.value!)
      if (isNew) changed(policy, by)
      return policy
    },
    remove: async (id, { by, checkService }) => {
      refuseFile(id, 'remove')
      let last: Version<PolicyValues> | undefined
      await stored.update(
        id,
        (current) => {
          if (!current?.value && id === DEFAULT_ID)
            throw new StoreError('INVALID', 'the built-in policy cannot be removed; to end it, save it with mode OFF', {
              field: 'id',
            })
          if (!current?.value) throw notFound(id)
          checkService?.(current.value.service)
          last = current
          return undefined
        },
        { by },
      )
      const policy = asPolicy(id, 'STORE', last!.version, last!.value!)
      removed(policy, by)
      return policy
    },
    onChange: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}

const measure = (registry: Registry, list: () => readonly Policy[], isGood: (() => boolean) | undefined): void => {
  registry.registerMetric(
    new Gauge({
      name: 'vedette_rate_limit_policies',
      help: 'Policies in force, by where they come from',
      labelNames: ['source'],
      registers: [],
      collect() {
        for (const source of ['BUILT_IN', 'FILE', 'STORE'] as const)
          this.set({ source }, list().filter((policy) => policy.source === source).length)
      },
    }),
  )
  if (!isGood) return
  registry.registerMetric(
    new Gauge({
      name: 'vedette_policy_file_good',
      help: '1: what POLICY_FILE holds is in force; 0: it does not fit, and its last good policies are',
      registers: [],
      collect() {
        this.set(isGood() ? 1 : 0)
      },
    }),
  )
}
