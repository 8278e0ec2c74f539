import type { Principal, Token } from '../../core/event.ts'
import { hashOf } from '../../core/hash.ts'
import type { PrincipalRule } from '../principal.ts'
import { subjectPrincipal, verifiedPrincipal } from '../principal-name.ts'
import { NO_TEXTS } from './json-fields.ts'
import { type Line, scopesOf } from './line.ts'
import type { Members } from './members.ts'

/** A stable id and the name that people know. */
export interface Named {
  readonly id: string
  readonly label: string
}

/** Whom a gateway vouches for in one line, under each kind of name. */
export interface Names {
  readonly consumer?: Named | null
  readonly app?: Named | null
  readonly key?: Named | null
  readonly account?: Named | null
  readonly token?: Token | null
  /** The gateway's id of the credential; never the key itself. */
  readonly credential?: string | null
  /** Owners such as `org:acme`, most general first. */
  readonly owners?: readonly string[]
}

/** Who called, as an event says it. */
export interface Identity {
  readonly principal: Principal | null
  readonly parents: readonly string[]
  readonly token: Token | null
  readonly credential: string | null
}

/** Books the call on its address: many callers may share that, so nothing of one of them is kept. */
export function addressIdentity(line: Line): Identity {
  return { principal: line.addressPrincipal(), parents: NO_TEXTS, token: null, credential: null }
}

/** The first name in the configured order that the gateway vouches for; the address when there is none. */
export function identityOf(names: Names, rule: PrincipalRule, line: Line): Identity {
  const token = names.token ?? null
  const credential = names.credential ?? null
  for (const kind of rule.order) {
    if (kind === 'sub') {
      if (token === null || token.sub === null) continue
      return {
        principal: subjectPrincipal(token.iss, token.sub, rule),
        parents: owners(names, 'sub'),
        token,
        credential,
      }
    }
    const named = names[kind] ?? null
    if (named === null) continue
    const principal = verifiedPrincipal(kind, named.id, named.label)
    return { principal, parents: owners(names, kind), token, credential }
  }
  return addressIdentity(line)
}

/** Owners of the principal: the organisation, and the app or consumer that a subject came through. */
function owners(names: Names, kind: string): readonly string[] {
  const above = names.owners ?? NO_TEXTS
  const app = kind === 'sub' ? (names.app ?? names.consumer ?? null) : null
  return app === null ? above : [...above, `app:${app.label}`]
}

/** A name that is its own id. */
export function named(name: string | null): Named | null {
  return name === null ? null : { id: name, label: name }
}

/** What stands for a credential that a log states in clear: it can be recognised, not used. */
export function hashedCredential(secret: string | null): string | null {
  return secret === null ? null : `sha256-${hashOf(secret).slice(0, 32)}`
}

/** Claims from the members `sub`, `iss`, `jti`, `iat`, `exp`, `scope`; null when they name no token. */
export function claimsOf(m: Members): Token | null {
  const sub = m.name('sub')
  const jti = m.name('jti')
  if (sub === null && jti === null) return null
  return {
    iss: m.name('iss'),
    sub,
    jti,
    iat: claimTime(m, 'iat'),
    exp: claimTime(m, 'exp'),
    scopes: scopes(m),
  }
}

/** Epoch seconds. */
function claimTime(m: Members, name: string): number | null {
  const value = m.number(name)
  return value !== null && Number.isSafeInteger(value) && value >= 0 ? value : null
}

function scopes(m: Members): readonly string[] {
  return m.states('scope') ? scopesOf(m.value('scope')) : NO_TEXTS
}
