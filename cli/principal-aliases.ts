import { entityId, type Principal } from '../core/event.ts'
import type { Alias, AliasMember } from '../enforcement/aliases.ts'
import { subjectPrincipal, verifiedPrincipal } from '../ingest/principal-name.ts'
import type { Config } from './config/schema.ts'
import { adapterNames } from './gateways.ts'

type MemberConfig = Config['principals']['aliases'][number]['members'][number]

/** The callers with several names, in the words of enforcement. */
export function aliasesOf(config: Config): readonly Alias[] {
  return config.principals.aliases.map(({ name, tenant, members }) => ({
    name,
    tenant,
    members: members.map((member) => memberOf(config, member)),
  }))
}

function memberOf(config: Config, member: MemberConfig): AliasMember {
  const gateway = config.enforcement.gateways.find(({ name }) => name === member.gateway)
  const { principal, subject, shownAs } = namesOf(config, member)
  return {
    principal,
    subject,
    shownAs,
    adapters: gateway === undefined ? null : adapterNames(config, gateway),
    evidenceFrom: gateway?.onlyFor ?? null,
  }
}

function namesOf(
  config: Config,
  { principal: text, id, issuer }: MemberConfig,
): Pick<AliasMember, 'principal' | 'subject' | 'shownAs'> {
  const colon = text.indexOf(':')
  // The schema allows no other kinds.
  const kind = text.slice(0, colon) as Exclude<Principal['kind'], 'ip'>
  const name = text.slice(colon + 1)
  if (kind !== 'sub') {
    const principal = verifiedPrincipal(kind, id ?? name, name)
    return { principal, subject: null, shownAs: [entityId(principal)] }
  }
  const iss = issuer ?? null
  // What a subject is called depends on the issuers that a source knows.
  const named = config.sources.map(({ principal: { order, issuers } }) =>
    subjectPrincipal(iss, name, { order, issuers: new Map(Object.entries(issuers)) }),
  )
  const principal = named[0] ?? subjectPrincipal(iss, name, { order: [], issuers: new Map() })
  return {
    principal,
    subject: { iss, sub: name },
    shownAs: [...new Set([text, ...named.map(entityId)])],
  }
}
