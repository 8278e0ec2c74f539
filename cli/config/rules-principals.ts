import { nearest } from './nearest.ts'
import { type Reporter, shown } from './problem.ts'
import type { Config } from './schema.ts'

type AliasConfig = Config['principals']['aliases'][number]
type MemberConfig = AliasConfig['members'][number]
type GatewayKind = Config['enforcement']['gateways'][number]['kind']

/** Gateways that know callers by one kind of name only. */
const KNOWS: Readonly<Partial<Record<GatewayKind, string>>> = {
  haproxy: 'sub',
  keycloak: 'sub',
  caep: 'sub',
  kong: 'consumer',
  apisix: 'consumer',
  tyk: 'key',
}
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** What a name is known by, as text: equal text, equal principal. */
function memberKey({ principal, id, issuer }: MemberConfig): string {
  return id === undefined && issuer !== undefined
    ? `${principal} of ${issuer}`
    : `${kindOf(principal)}:${id ?? restOf(principal)}`
}

/** Rules about callers with several names. */
export function checkPrincipals(config: Config, report: Reporter): void {
  const owners = new Map<string, number>()
  const names = new Map<string, number>()
  for (const [i, alias] of config.principals.aliases.entries()) {
    const path = `principals.aliases[${i}]`
    const twin = names.get(alias.name)
    if (twin !== undefined)
      report.no(`${path}.name`, `\`principals.aliases\` has two entries named ${shown(alias.name)}`)
    names.set(alias.name, i)
    const keys = new Set<string>()
    const places = new Set<string>()
    for (const [j, member] of alias.members.entries()) {
      const at = `${path}.members[${j}]`
      checkMember(config, member, at, report)
      const key = memberKey(member)
      const place = JSON.stringify([member.gateway ?? null, key])
      if (places.has(place)) report.no(at, `\`${at}\` is ${shown(member.principal)} for the second time`)
      places.add(place)
      keys.add(key)
    }
    if (keys.size < 2)
      report.no(path, `\`${path}\` has one name only, ${shown(alias.members[0]?.principal)}: it takes two`)
    for (const key of keys) {
      const whole = JSON.stringify([alias.tenant, key])
      const other = owners.get(whole)
      if (other !== undefined)
        report.no(
          path,
          `\`${path}\` and \`principals.aliases[${other}]\` both have the name ${shown(key)}: one caller has one entry`,
        )
      owners.set(whole, i)
    }
    checkModes(config, alias, path, report)
  }
}

function checkMember(config: Config, member: MemberConfig, path: string, report: Reporter): void {
  const { principal, id, issuer, gateway: name } = member
  const kind = kindOf(principal)
  if (issuer !== undefined && kind !== 'sub')
    report.no(
      `${path}.issuer`,
      `\`${path}.issuer\` is ${shown(issuer)}, but ${shown(principal)} is no subject`,
    )
  if (id !== undefined && kind === 'sub')
    report.no(`${path}.id`, `\`${path}.id\` is ${shown(id)}: a subject is known by \`issuer\` and name`)
  if (config.privacy.emails === 'hash' && (id ?? principal).includes('@'))
    report.no(
      `${path}.principal`,
      `\`${path}.principal\` is ${shown(principal)}, but with \`privacy.emails: hash\` no caller has an address in its name`,
    )
  if (name === undefined) return
  const { gateways } = config.enforcement
  const gateway = gateways.find((one) => one.name === name)
  if (gateway === undefined) {
    const near = nearest(
      name,
      gateways.map((one) => one.name),
    )
    const meant = near === null ? '' : `; did you mean \`${near}\`?`
    report.no(
      `${path}.gateway`,
      `\`${path}.gateway\` is ${shown(name)}, and \`enforcement.gateways\` has none of that name${meant}`,
    )
    return
  }
  const known = KNOWS[gateway.kind]
  if (known !== undefined && known !== kind)
    report.no(
      `${path}.principal`,
      `\`${path}.principal\` is ${shown(principal)}, but a gateway of kind ${gateway.kind} knows callers as \`${known}:\``,
    )
  else if (gateway.kind === 'kong' && !UUID.test(id ?? ''))
    report.no(
      `${path}.id`,
      `\`${path}.id\` is ${shown(id ?? '')}: Kong needs the \`id\` of the consumer, a UUID`,
    )
}

/** A mode that names a member is asked only when its own calls are judged. */
function checkModes(
  { modes, defaultMode }: Config,
  alias: AliasConfig,
  path: string,
  report: Reporter,
): void {
  for (const [i, rule] of modes.entries()) {
    const names = alias.members.some(({ principal }) => principal === rule.principal)
    if (names && rule.mode !== defaultMode)
      report.beware(
        path,
        `\`modes[${i}]\` is about ${shown(rule.principal)}, one of several names: each name is judged by its own mode, and what is decided about one holds for all`,
      )
  }
}

function kindOf(principal: string): string {
  return principal.slice(0, principal.indexOf(':'))
}

function restOf(principal: string): string {
  return principal.slice(principal.indexOf(':') + 1)
}
