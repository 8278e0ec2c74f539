import { openEmbeddedStore } from '../../../baseline/stores/embedded-store.ts'
import { openRedisStore } from '../../../baseline/stores/redis-store.ts'
import { checkpointOf } from './commit-story.ts'

/**
 * Child process of the crash test: appends to the outbox and commits for ever, from where the state
 * stands, and prints the number of every checkpoint that was acknowledged. It is killed from outside.
 * Arguments: `embedded FOLDER` or `redis URL`.
 */
const [kind, where] = process.argv.slice(2)
if (where === undefined) throw new Error('usage: commit-writer embedded FOLDER | redis URL')
const store =
  kind === 'embedded'
    ? await openEmbeddedStore({ folder: where, minLogBytes: 100_000 })
    : await openRedisStore({ url: where })
const owner = await store.open(0)
for (let n = Math.max(owner.position.offset, 0) + 1; ; n++) {
  await owner.appendOutbox([{ id: `a-${n}`, kind: 'alert', body: `{"n":${n}}` }], n)
  await owner.commit(checkpointOf(n))
  process.stdout.write(`${n}\n`)
}
