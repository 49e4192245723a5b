/** `npm run bench -- NAME`: prints measured figures. Ratios within one run mean something, absolute figures only on a quiet machine. */
const benches: Record<string, () => Promise<{ run: (args: readonly string[]) => Promise<void> }>> = {
  ingest: () => import('./ingest.ts'),
  decide: () => import('./decide.ts'),
  blocklist: () => import('./blocklist.ts'),
  'decision-log': () => import('./decision-log.ts'),
  middleware: () => import('./middleware.ts'),
  detection: () => import('./detection/index.ts'),
  hourly: () => import('./hourly.ts'),
}

const [name = '', ...args] = process.argv.slice(2)
const bench = benches[name]
if (bench) await (await bench()).run(args)
else {
  console.error(`npm run bench -- NAME; NAME is ${Object.keys(benches).join(', ')}, not ${JSON.stringify(name)}`)
  process.exitCode = 2
}
