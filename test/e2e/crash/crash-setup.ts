import { afterAll, beforeAll } from 'vitest'
import type { CrashSetting } from '../../../bench/crash-settings.ts'
import { type CompiledProgram, compileProgram } from '../../services/compiled-program.ts'
import { redisAvailable } from '../../services/redis.ts'

/** What the workers judge. */
export const STREAM = { events: 8_000, principals: 120, seed: 5 }

export const hasRedis = await redisAvailable()
if (!hasRedis) console.warn('SKIPPED: redis-server is not installed (apt-get install redis-server)')

/** The worker, compiled before the first test of a file; the path is known from then on. */
export function crashWorker(): () => string {
  let compiled: CompiledProgram
  beforeAll(async () => {
    compiled = await compileProgram()
  })
  afterAll(() => compiled?.remove())
  return () => compiled.file('bench/crash-worker.ts')
}

/** Uses a setting and closes it, whatever comes of that. */
export async function using(
  open: Promise<CrashSetting>,
  use: (setting: CrashSetting) => Promise<void>,
): Promise<void> {
  const setting = await open
  try {
    await use(setting)
  } finally {
    await setting.close()
  }
}
