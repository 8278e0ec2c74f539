import type { Principal } from '../../../core/event.ts'
import type { Alias, AliasMember } from '../../../enforcement/aliases.ts'

/** Kong's consumer `orders`. */
export const CONSUMER: Principal = {
  kind: 'consumer',
  id: '6f1c2b3a-0000-4000-8000-000000000001',
  label: 'orders',
  verified: true,
}
export const SUBJECT: Principal = {
  kind: 'sub',
  id: JSON.stringify(['https://idp.test/realm', 'orders-svc']),
  label: 'orders-svc',
  verified: true,
}
export const KEY: Principal = { kind: 'key', id: 'k3y1d', label: 'k3y1d', verified: true }

/** One name, known to any gateway unless changed. */
export function member(principal: Principal, changes: Partial<AliasMember> = {}): AliasMember {
  const [iss = null, sub = ''] = principal.kind === 'sub' ? (JSON.parse(principal.id) as string[]) : []
  return {
    principal,
    shownAs: [`${principal.kind}:${principal.label}`],
    subject: principal.kind === 'sub' ? { iss, sub } : null,
    adapters: null,
    evidenceFrom: null,
    ...changes,
  }
}

/** The caller as Kong, HAProxy and AWS know it. */
export const ORDERS: Alias = {
  name: 'orders',
  tenant: 'default',
  members: [
    member(CONSUMER, { adapters: ['kong'] }),
    member(SUBJECT, { adapters: ['edge'] }),
    member(KEY, { adapters: ['aws'] }),
  ],
}
