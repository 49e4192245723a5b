import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'

import pino from 'pino'

import { createCrawlers } from '../../../src/detection/crawlers/index.ts'
import { benchAccessLog } from './access-log.ts'
import { benchDemo } from './demo-bench.ts'
import { openFail2ban } from './fail2ban.ts'
import { type Lab, openLab } from './lab.ts'
import { ORIGINAL_NOTE } from './original.ts'
import { benchPayloads } from './payload-bench.ts'
import { benchCoreRules } from './payloads.ts'
import { benchScenarios } from './scenarios.ts'

const DEFAULT_DATA = '../shared/data'

const PARTS = ['scenarios', 'access-log', 'payloads', 'demo'] as const

/** Opens a lab for a part, so that a part that fails leaves nothing to the next. */
const withLab = async (crawlers: Parameters<typeof openLab>[0], work: (lab: Lab) => Promise<void>): Promise<void> => {
  const lab = await openLab(crawlers)
  try {
    await work(lab)
  } finally {
    await lab.close()
  }
}

/**
 * `npm run bench -- detection [--data DIR] [--only scenarios,demo] [--seeds 1,2,3] [--without-fail2ban]`: what the detectors
 * find and whom they flag wrongly, next to the original's two rules and fail2ban on the same logs.
 */
export const run = async (args: readonly string[]): Promise<void> => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      data: { type: 'string', default: process.env['VEDETTE_BENCH_DATA'] ?? DEFAULT_DATA },
      only: { type: 'string', default: PARTS.join(',') },
      seeds: { type: 'string', default: '1,2,3' },
      'without-fail2ban': { type: 'boolean', default: false },
    },
  })
  const data = resolve(values.data)
  const present = existsSync(data)
  if (!present)
    console.log(`${data} is not there: only the demo is measured. --data or VEDETTE_BENCH_DATA names the folder.`)
  const isWanted = (part: (typeof PARTS)[number]): boolean =>
    values.only.split(',').includes(part) && (present || part === 'demo')

  const opened = values['without-fail2ban'] ? 'left out by --without-fail2ban' : await openFail2ban()
  const fail2ban = typeof opened === 'string' ? undefined : opened
  console.log(`The original: ${ORIGINAL_NOTE}`)
  console.log(`fail2ban: ${typeof opened === 'string' ? opened : opened.note}`)

  const crawlers = createCrawlers({
    dir: present ? resolve(data, 'crawlers') : undefined,
    dns: false,
    log: pino({ level: 'silent' }),
  })
  await crawlers.start()
  try {
    if (isWanted('scenarios')) await withLab({ crawlers }, (lab) => benchScenarios(lab, data, fail2ban))
    if (isWanted('access-log')) await withLab({ crawlers }, (lab) => benchAccessLog(lab, data, fail2ban))
    if (isWanted('payloads'))
      await withLab({ crawlers }, async (lab) => {
        await benchPayloads(lab, data)
        await benchCoreRules(lab, resolve(data, 'payloads'))
      })
    if (isWanted('demo')) await benchDemo(values.seeds.split(',').map(Number), fail2ban)
  } finally {
    await crawlers.stop()
  }
}
