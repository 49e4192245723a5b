import { count, percent, table } from '../../../src/demo/table.ts'

/** Addresses (or pairs of a test and an address) that were flagged, held against those that should be. */
export interface Score {
  name: string
  truePositives: number
  falsePositives: number
  missed: number
}

/** @param neither flagged or not, they count neither for nor against */
export const scoreOf = (
  name: string,
  flagged: ReadonlySet<string>,
  positives: ReadonlySet<string>,
  neither: ReadonlySet<string> = new Set(),
): Score => {
  const found = [...flagged].filter((key) => positives.has(key)).length
  const wrong = [...flagged].filter((key) => !positives.has(key) && !neither.has(key)).length
  return { name, truePositives: found, falsePositives: wrong, missed: positives.size - found }
}

const share = (part: number, rest: number): string => percent(part + rest === 0 ? null : part / (part + rest))

export const scoreTable = (title: string, scores: readonly Score[]): string =>
  table(title, scores, [
    { title: '', value: ({ name }) => name },
    { title: 'true positives', value: ({ truePositives }) => count(truePositives), right: true },
    { title: 'false positives', value: ({ falsePositives }) => count(falsePositives), right: true },
    { title: 'missed', value: ({ missed }) => count(missed), right: true },
    { title: 'precision', value: (score) => share(score.truePositives, score.falsePositives), right: true },
    { title: 'recall', value: (score) => share(score.truePositives, score.missed), right: true },
  ])
