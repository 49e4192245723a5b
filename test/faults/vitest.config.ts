import { defineConfig } from 'vitest/config'

/** Crash and fault loops: minutes long, so not part of `npm test`. */
export default defineConfig({
  test: {
    include: ['test/faults/*.faults.ts'],
    globalSetup: 'test/support/stores.ts',
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 600_000,
    // A busy machine takes its time; what is promised within some time says so itself.
    expect: { poll: { timeout: 10_000 } },
    hookTimeout: 120_000,
  },
})
