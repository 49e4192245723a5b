import type { Column, Table } from '../../types.ts'
import type { MakeSection } from '../work.ts'

const titleOf = (key: string): string => key.charAt(0).toUpperCase() + key.slice(1).replaceAll('_', ' ')

const columnOf = (key: string, value: unknown): Column => ({
  key,
  title: titleOf(key),
  kind: typeof value === 'number' ? 'none' : 'hostile',
})

/** A file that has no words of its own: its rows as they are, so that a new section needs nothing but SQL. */
export const plain: MakeSection = async ({ file, rows, link: linkTo }) => {
  const link = linkTo('pipeline')
  const tables = await Promise.all(
    [...file.statements.keys()].map(async (name): Promise<Table> => {
      const found = await rows<Record<string, string | number | null>>(name)
      const columns = Object.entries(found[0] ?? {}).map(([key, value]) => columnOf(key, value))
      return { id: `${file.id}-${name}`, title: titleOf(name), columns, rows: found, shown: 10, link }
    }),
  )
  return { lead: file.description, advice: null, figures: [], charts: [], tables }
}
