import { defineConfig } from 'vitest/config'

const kind = (name: string, options: object = {}) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    environment: 'node',
    globalSetup: 'test/services/left-behind.ts',
    ...options,
  },
})

/** One project per kind of test, so that results are counted by kind. */
export default defineConfig({
  test: {
    projects: [
      kind('unit'),
      kind('property'),
      kind('scenarios', { testTimeout: 60_000 }),
      kind('contracts', { testTimeout: 60_000, hookTimeout: 120_000 }),
      kind('e2e', { testTimeout: 180_000, hookTimeout: 240_000, fileParallelism: false }),
    ],
  },
})
