// `vedette/middleware`: the published package carries dist/; a checkout runs the TypeScript as it is.
import { existsSync } from 'node:fs'

const source = new URL('../src/middleware/index.ts', import.meta.url)
export const { createVedette } = await import(
  existsSync(source) ? source.href : new URL('../dist/middleware/index.js', import.meta.url).href
)
