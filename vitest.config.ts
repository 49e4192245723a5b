import { fileURLToPath } from 'node:url'

import { defineConfig } from 'vitest/config'

export default defineConfig({
  // Vite would take graphql's ES modules for our files, Node takes its CommonJS for the libraries', and two graphqls do not mix.
  resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/support/stores.ts',
    pool: 'forks',
    // Files of one worker share the modules that they load: loading them 160 times took a tenth of the run.
    isolate: false,
    // For the command line and the services that tests start, some 300 times: 0.3 s each instead of 0.6.
    env: { NODE_COMPILE_CACHE: fileURLToPath(new URL('node_modules/.cache/compile', import.meta.url)) },
    // Of two cores, with the engine and Redis beside them: four at once took 298 s, three 335, since tests also wait.
    maxWorkers: 4,
    testTimeout: 30_000,
    // A busy machine takes its time; what is promised within some time says so itself.
    expect: { poll: { timeout: 10_000 } },
    hookTimeout: 60_000,
  },
})
