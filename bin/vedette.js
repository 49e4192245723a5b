#!/usr/bin/env node
// The published package carries dist/; a checkout runs the TypeScript as it is.
import { existsSync } from 'node:fs'

const [major] = process.versions.node.split('.')
if (Number(major) < 24) {
  process.stderr.write(
    `vedette: this is Node ${process.versions.node}, and it needs 24 or newer; install that, or add it to the project: npm install node@24\n`,
  )
  process.exit(1)
}
const source = new URL('../src/main.ts', import.meta.url)
await import(existsSync(source) ? source.href : new URL('../dist/main.js', import.meta.url).href)
