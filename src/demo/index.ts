export { encodeNdjson, generateDay, type Day, type DayOptions, type Truth } from './day.ts'
export { ATTACK_KINDS, type AttackKind, type DemoEvent } from './event.ts'
export type { Attacker } from './recorder.ts'
