import { describe, it } from 'vitest'
import { COMMIT_CHECKS } from './commit-checks.ts'
import { LIST_CHECKS } from './list-checks.ts'
import type { StoreCheck, StoreUnderTest } from './store-check.ts'

/** Every promise of a state store. */
export const STATE_STORE_CHECKS: readonly StoreCheck[] = [...COMMIT_CHECKS, ...LIST_CHECKS]

/** Runs every check over an implementation. */
export function stateStoreContract(options: {
  readonly name: string
  make(): Promise<StoreUnderTest>
  readonly skip?: boolean
}): void {
  describe.skipIf(options.skip ?? false)(`state store contract: ${options.name}`, () => {
    for (const check of STATE_STORE_CHECKS) {
      it(check.name, async () => {
        const subject = await options.make()
        try {
          await check.run(subject)
        } finally {
          await subject.dispose()
        }
      })
    }
  })
}
