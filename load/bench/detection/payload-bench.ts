import { join } from 'node:path'

import { count, percent, table } from '../../../src/demo/table.ts'
import type { Lab } from './lab.ts'
import { PAYLOAD_DETECTORS, payloadRows, readPayloads } from './payloads.ts'

/** HttpParamsDataset sent as query strings, an address for each value: how much of each class is flagged. */
export const benchPayloads = async (lab: Lab, data: string): Promise<void> => {
  const payloads = readPayloads(join(data, 'payloads'))
  const { rows, address } = payloadRows(payloads)
  await lab.empty()
  await lab.insert(rows)
  const spent = await lab.closeHours()
  const flagged = new Map<string, Set<string>>()
  for (const finding of await lab.findings())
    if (finding.mode !== 'REPORT_ONLY' && PAYLOAD_DETECTORS.includes(finding.detector))
      flagged.set(finding.address, (flagged.get(finding.address) ?? new Set()).add(finding.detector))
  const kinds = [...new Set(payloads.map(({ kind }) => kind))].map((kind) => {
    const values = payloads.flatMap((payload, index) => (payload.kind === kind ? [address(index)] : []))
    const by = (detector: string) => values.filter((each) => flagged.get(each)?.has(detector)).length
    return { kind, values: values.length, flagged: values.filter((each) => flagged.has(each)).length, by }
  })
  console.log(
    table(
      `\nHttpParamsDataset as query strings, ${count(rows.length)} addresses in one hour; our detectors took ${(spent / 1_000).toFixed(1)} s`,
      kinds,
      [
        { title: 'class', value: ({ kind }) => kind },
        { title: 'values', value: ({ values }) => count(values), right: true },
        { title: 'flagged', value: ({ flagged }) => count(flagged), right: true },
        { title: 'share', value: ({ values, flagged }) => `${((100 * flagged) / values).toFixed(2)} %`, right: true },
        ...PAYLOAD_DETECTORS.map((detector) => ({
          title: detector,
          value: ({ by }: (typeof kinds)[number]) => count(by(detector)),
          right: true,
        })),
      ],
    ),
  )
  const attacks = kinds.filter(({ kind }) => kind !== 'norm')
  const [all, found] = attacks.reduce(([a, b], { values, flagged }) => [a + values, b + flagged], [0, 0])
  console.log(`  of all attacks ${percent(found / all)}`)
}
