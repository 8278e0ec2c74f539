import type { Clock } from '../../core/time.ts'
import type { GatewayAdapter, Rule } from '../gateway.ts'
import { type Outcome, Reconciler } from '../reconcile.ts'

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }

/**
 * One pass of the reconciler over a gateway: a look, and what makes it agree with `wanted`, which is told the rules
 * that stand there. What came out of each operation; failures are outcomes, too.
 */
export async function onePass(
  gateway: GatewayAdapter,
  wanted: (standing: readonly Rule[]) => readonly Rule[],
  clock: Clock,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = []
  let standing: readonly Rule[] = []
  const watched: GatewayAdapter = {
    name: gateway.name,
    kind: gateway.kind,
    can: gateway.can,
    list: async (stop) => {
      standing = await gateway.list(stop)
      return standing
    },
    put: (rule, stop) => gateway.put(rule, stop),
    remove: (id, stop) => gateway.remove(id, stop),
    check: (stop) => gateway.check(stop),
  }
  const reconciler = new Reconciler({
    gateway: watched,
    desired: () => wanted(standing.filter((rule) => rule.until > clock.now())),
    objection: () => null,
    keepsUnknown: () => false,
    refresh: async () => undefined,
    onOutcome: (outcome) => outcomes.push(outcome),
    onHeld: () => undefined,
    clock,
    random: () => 0,
    logger: silent,
  })
  await reconciler.pass()
  return outcomes
}
