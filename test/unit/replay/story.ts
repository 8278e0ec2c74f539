import {
  burst,
  consumer,
  DAY_MS,
  HOUR_MS,
  inOrder,
  MONDAY,
  officeHabit,
  renumber,
  routine,
} from '../../scenarios/engine/traffic.ts'
import { canonicalLog } from './canonical-log.ts'

/** When the download of the story begins. */
export const NIGHT = MONDAY + 14 * DAY_MS + 3 * HOUR_MS

/** Two weeks of six services, then a night on which one of them downloads. */
export function story(): string {
  renumber()
  const services = Array.from({ length: 6 }, (_, i) => routine(officeHabit(`svc-${i}`), MONDAY, 14, 40 + i))
  const token = {
    iss: 'https://id.example',
    sub: 'svc-2',
    jti: 'n1',
    iat: NIGHT / 1000,
    exp: NIGHT / 1000 + 3_600,
    scopes: [],
  }
  const download = burst(consumer('svc-2'), NIGHT, 120, 2_000, { records: 40, responseBytes: 16_000, token })
  const refused = burst(consumer('svc-2'), NIGHT + 300_000, 30, 2_000, {
    refusedBy: 'curfew',
    status: 429,
    token,
  })
  const after = routine(officeHabit('svc-1'), MONDAY + 14 * DAY_MS, 1, 60)
  return canonicalLog(inOrder(...services, download, refused, after))
}
