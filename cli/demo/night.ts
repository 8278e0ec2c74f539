import { setTimeout as sleep } from 'node:timers/promises'
import type { Scope } from '../../core/decision.ts'
import type { Clock } from '../../core/time.ts'
import type { ControlPlane, DecisionView } from '../../engine/control-plane.ts'
import { pageThrough } from './client.ts'
import { BATCH, BATCH_CALLER, claimsAt, STOLEN_FROM } from './history.ts'
import { clockTime, grouped, type Screen } from './screen.ts'
import { RunPrinter, type StatusRuns } from './status-runs.ts'
import { signToken } from './token.ts'

/** The export that the thief tries, a second into the night: 10,000 records, 25 a page, 10 requests/s. */
export const EXPORT = { records: 10_000, size: 25, intervalMs: 100, afterMs: 1_000 } as const
/** Refusals with 401 in a row after which the thief gives up. */
const GIVES_UP_AFTER = 5
const WATCH_MS = 50

export interface NightOptions {
  /** Address of the demo gateway. */
  readonly gateway: string
  readonly tokenSecret: Uint8Array
  readonly controlPlane: ControlPlane
  readonly clock: Clock
  readonly screen: Screen
}

/** What the clients of the night saw, and what Curfew decided. */
export interface NightReport {
  readonly thief: StatusRuns
  readonly batch: StatusRuns
  readonly decisions: readonly DecisionView[]
}

/** Plays the night live: the usual batch, and at the same time an export with a stolen token. */
export async function playNight(options: NightOptions, stop: AbortSignal): Promise<NightReport> {
  const over = new AbortController()
  const clients = Promise.all([runExport(options, stop), runBatch(options, stop)]).finally(() => over.abort())
  const watching = watchDecisions(options, AbortSignal.any([stop, over.signal]))
  const [[thief, batch], decisions] = await Promise.all([clients, watching])
  return { thief, batch, decisions: [...decisions.values()] }
}

async function runBatch(
  { gateway, tokenSecret, clock, screen }: NightOptions,
  stop: AbortSignal,
): Promise<StatusRuns> {
  const { username, userAgent } = BATCH_CALLER
  const token = await signToken(claimsAt(username, clock.now()), tokenSecret)
  const { pages, size } = BATCH
  screen.line(
    `  ${clockTime(clock.now())}  ${username} starts its nightly batch: ${pages} pages of ${size} records`,
  )
  const seen = new RunPrinter(screen, username, () => clock.now())
  const onAnswer: Parameters<typeof pageThrough>[0]['onAnswer'] = (answer) => {
    seen.add(answer)
    return true
  }
  const url = `${gateway}${BATCH.path}`
  await pageThrough({ url, token, userAgent, pages, size, intervalMs: BATCH.pauseMs, onAnswer }, stop)
  seen.end()
  return seen.seen
}

async function runExport(
  { gateway, tokenSecret, clock, screen }: NightOptions,
  stop: AbortSignal,
): Promise<StatusRuns> {
  await sleep(EXPORT.afterMs, undefined, { signal: stop }).catch(() => undefined)
  const token = await signToken(claimsAt(STOLEN_FROM.username, clock.now()), tokenSecret)
  const { records, size, intervalMs } = EXPORT
  screen.line(
    `  ${clockTime(clock.now())}  ${screen.styled('red', `somebody has the token of ${STOLEN_FROM.username}`)}: ${grouped(records)} records, ${size} a page, ${1_000 / intervalMs} requests/s`,
  )
  const seen = new RunPrinter(screen, `${STOLEN_FROM.username}'s token`, () => clock.now())
  let refused = 0
  const onAnswer: Parameters<typeof pageThrough>[0]['onAnswer'] = (answer) => {
    seen.add(answer)
    refused = answer.status === 401 ? refused + 1 : 0
    return refused < GIVES_UP_AFTER
  }
  const url = `${gateway}/v1/orders`
  const userAgent = 'python-requests/2.32.3'
  await pageThrough({ url, token, userAgent, pages: records / size, size, intervalMs, onAnswer }, stop)
  seen.end()
  return seen.seen
}

/** Prints each decision once it holds, or once it is clear that it will not. */
async function watchDecisions(
  { controlPlane, screen }: NightOptions,
  stop: AbortSignal,
): Promise<ReadonlyMap<string, DecisionView>> {
  const known = new Map<string, DecisionView>()
  const told = new Set<string>()
  const look = async () => {
    const { items } = await controlPlane.decisions({ limit: 100 })
    for (const view of items.toReversed()) {
      known.set(view.decision.id, view)
      if (view.status === 'pending' || told.has(view.decision.id)) continue
      told.add(view.decision.id)
      tellDecision(view, screen)
    }
  }
  while (!stop.aborted) {
    await look()
    await sleep(WATCH_MS, undefined, { signal: stop }).catch(() => undefined)
  }
  await look()
  return known
}

function tellDecision(
  { decision, status, statusReason, issuedAt, effectiveBy }: DecisionView,
  screen: Screen,
): void {
  const { action, entity, limit, holdSeconds, reason, scope, wider } = decision
  const how = limit === null ? scopeText(scope) : ` to ${limit.requests} request per ${limit.windowSeconds} s`
  const hold = `for ${Math.round(holdSeconds / 60)} min`
  screen.line(
    `  ${screen.styled('bold', 'DECISION')}  ${screen.styled('yellow', `${action} ${entity.id}${how}`)}, ${hold}: ${status}`,
  )
  if (wider?.limit) {
    const { requests, windowSeconds } = wider.limit
    screen.line(
      `            this gateway cannot tell networks: ${wider.action} to ${requests} request per ${windowSeconds} s`,
    )
  }
  if (statusReason !== null) screen.line(`            ${statusReason}`)
  screen.line(`            because ${reason}`)
  const issued = issuedAt === null ? '' : `issued ${issuedAt.slice(11, 23)}, `
  if (effectiveBy !== null) screen.line(`            ${issued}effective by ${effectiveBy.slice(11, 23)} UTC`)
}

function scopeText(scope: Scope): string {
  switch (scope.kind) {
    case 'token':
      return `, the token with jti ${scope.jti}`
    case 'token-issue':
      return ', the tokens issued at that second'
    case 'subject':
      return ', every token of the subject'
    case 'network':
      return `, from the network ${scope.network}`
    case 'credential':
    case 'principal':
      return ''
  }
}
