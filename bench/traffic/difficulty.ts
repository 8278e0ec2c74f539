import { DAYS, HOUR, START } from './calendar.ts'
import type { EventBuffer } from './event-buffer.ts'
import type { Feature, Level } from './labels.ts'
import { MEASURES, type Measure, measure, measures, type OwnModel } from './own-model.ts'
import { OP, type Route } from './routes.ts'

/** What decides how hard an attack is to see. */
export interface Loudness {
  /** Largest excess of a measure over one hour or one day, in standard deviations of the victim's own model. */
  readonly sigmas: Readonly<Record<Measure, number>>
  /** What the victim never or hardly ever had before: networks, agents, hours, routes. */
  readonly novel: readonly Feature[]
  /** Made to pass for the victim (mimicry, a slow rise, a slow scrape). */
  readonly adversarial: boolean
}

/** Contexts whose change makes an attack loud together with its size. */
const CONTEXTS: readonly Feature[] = ['network', 'agent', 'hours', 'route']

/**
 * D1: 8 standard deviations and a changed context. D2: 4 or more, or two changed contexts. D3: 2 or more, or one
 * changed context. D4: less, sustained. D5: adversarial.
 */
export function levelOf(loudness: Loudness): Level {
  if (loudness.adversarial) return 'D5'
  const most = largest(loudness)
  const contexts = loudness.novel.filter((f) => CONTEXTS.includes(f)).length
  if (most >= 8 && contexts >= 1) return 'D1'
  if (most >= 4 || contexts >= 2) return 'D2'
  return most >= 2 ? 'D3' : 'D4'
}

export function largest(loudness: Loudness): number {
  return Math.max(...MEASURES.map((m) => loudness.sigmas[m]))
}

/** The excess that planned calls mean for a caller with this model. */
export function sigmasOf(
  calls: EventBuffer,
  routes: readonly Route[],
  model: OwnModel,
): Readonly<Record<Measure, number>> {
  const hours = measures(24 * DAYS)
  const days = measures(DAYS)
  calls.forEach((call) => {
    const hour = Math.floor((call.time - START) / HOUR)
    if (hour < 0 || hour >= 24 * DAYS) return
    const op = OP[routes[call.route]!.op]
    measure(call, op, hours, hour)
    measure(call, op, days, Math.floor(hour / 24))
  })
  const sigmas = { requests: 0, records: 0, errors: 0, writes: 0 }
  for (const of of MEASURES) {
    const anHour = Math.max(...hours[of]) / model.spread(of, 'hour')
    sigmas[of] = Math.max(anHour, Math.max(...days[of]) / model.spread(of, 'day'))
  }
  return sigmas
}
