import type { Denied } from './subtract.ts'

export const BLOCK_LIST_FORMATS = ['plain', 'nginx', 'ipset'] as const
export type BlockListFormat = (typeof BLOCK_LIST_FORMATS)[number]

/** The most that ipset takes: 24.8 days. What is blocked for longer gets its time anew with each reload. */
const LONGEST_TIMEOUT_S = 2_147_483
/** A bound, not memory. It belongs to what makes two sets of one name the same, so it is a fixed one as long as it will do. */
const MOST_ELEMENTS = 1_048_576

const FAMILIES = [
  { set: 'vedette-v4', family: 'inet', has: (cidr: string) => !cidr.includes(':') },
  { set: 'vedette-v6', family: 'inet6', has: (cidr: string) => cidr.includes(':') },
] as const

/** ipset has no prefix without bits: it takes everything as two halves. */
const HALVES: Record<string, readonly string[]> = {
  '0.0.0.0/0': ['0.0.0.0/1', '128.0.0.0/1'],
  '::/0': ['::/1', '8000::/1'],
}

/**
 * For `ipset restore`: the sets vedette-v4 and vedette-v6, to be named in a rule of iptables. New ones are filled beside the
 * old and swapped with them, so that there is no moment with half a list.
 */
const ipset = (denied: readonly Denied[], now: number): string => {
  const lines: string[] = []
  for (const { set, family, has } of FAMILIES) {
    const own = denied.filter(({ cidr }) => has(cidr))
    const bound = Math.max(MOST_ELEMENTS, 2 ** Math.ceil(Math.log2(own.length + 2)))
    const next = `${set}-next`
    for (const name of [set, next])
      lines.push(`create ${name} hash:net family ${family} maxelem ${bound} timeout 0 -exist`)
    lines.push(`flush ${next}`)
    for (const { cidr, expiresAt } of own) {
      const seconds =
        expiresAt && Math.min(LONGEST_TIMEOUT_S, Math.max(1, Math.ceil((expiresAt.getTime() - now) / 1_000)))
      for (const part of HALVES[cidr] ?? [cidr])
        lines.push(`add ${next} ${part}${seconds === null ? '' : ` timeout ${seconds}`} -exist`)
    }
    lines.push(`swap ${next} ${set}`, `destroy ${next}`)
  }
  return lines.map((line) => `${line}\n`).join('')
}

/**
 * The list for other programs.
 * - plain: one CIDR a line and nothing else
 * - nginx: `deny 192.0.2.0/24;` a line, to `include` in http, server or location
 * - ipset: for `ipset restore`
 * @param now epoch ms, from which ipset counts the time that is left
 */
export const formatBlockList = (format: BlockListFormat, denied: readonly Denied[], now = Date.now()): string => {
  switch (format) {
    case 'plain':
      return denied.map(({ cidr }) => `${cidr}\n`).join('')
    case 'nginx':
      return denied.map(({ cidr }) => `deny ${cidr};\n`).join('')
    case 'ipset':
      return ipset(denied, now)
  }
}
