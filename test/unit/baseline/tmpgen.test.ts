import { it } from 'vitest'
it('gen', async () => { await import('/tmp/golden-K.ts') })
