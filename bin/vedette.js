#!/usr/bin/env node
// The published package carries dist/; a checkout runs the TypeScript as it is.
import { existsSync } from 'node:fs'

const built = new URL('../dist/main.js', import.meta.url)
await import(existsSync(built) ? built.href : new URL('../src/main.ts', import.meta.url).href)
