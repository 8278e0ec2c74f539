import { expect, it } from 'vitest'
import { PLANS, World } from '../../../../bench/traffic/world.ts'

// 32,000 random names of few words and five digits: some meet in nearly every large world.
it('no two callers of a world have the same name', { timeout: 60_000 }, () => {
  for (const seed of [1, 2, 3]) {
    const names = new World(seed, PLANS.light).principals.map(({ is }) => is.username)
    expect(names.length).toBeGreaterThan(15_000)
    expect(new Set(names).size).toBe(names.length)
  }
})
