import { defineConfig } from 'vitest/config'

/** Real proxies with the configurations of deploy/; they need the proxies' programs, so this is not part of `npm test`. */
export default defineConfig({
  test: {
    include: ['test/proxies/*.proxies.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 60_000,
    expect: { poll: { timeout: 10_000 } },
    hookTimeout: 120_000,
  },
})
