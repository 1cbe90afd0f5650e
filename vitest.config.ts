import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Most of a test is waiting for another program.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 180_000,
    restoreMocks: true,
  },
})
