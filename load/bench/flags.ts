import { readFile } from 'node:fs/promises'

/** Node's flags of `npm start`: what is measured is what runs. */
export const startFlags = async (): Promise<string[]> => {
  const { scripts } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as {
    scripts: { start: string }
  }
  return scripts.start.split(' ').filter((word) => word.startsWith('--'))
}
