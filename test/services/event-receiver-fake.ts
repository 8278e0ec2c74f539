import { generateKeyPairSync } from 'node:crypto'
import { decodeProtectedHeader, importSPKI, jwtVerify } from 'jose'
import { type Answered, type Asked, ControlPlaneServer, type JsonAnswer } from './control-plane-server.ts'
import { InjectedFaults, type Refusal } from './injected-faults.ts'

const EVENT = 'https://schemas.openid.net/secevent/caep/event-type/session-revoked'
export const FAKE_AUDIENCE = 'https://idp.example/caep'
export const FAKE_TRANSMITTER = 'https://curfew.example'
export const FAKE_EVENT_KEYS = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
})

interface Received {
  readonly jti: string
  readonly subject: unknown
  readonly iat: unknown
  /** How often it came. */
  readonly times: number
}

class ReceivedEvents {
  events = new Map<string, Received>()

  snapshot(): ReadonlyMap<string, Received> {
    return new Map(this.events)
  }

  restore(events: ReadonlyMap<string, Received>): void {
    this.events = new Map(events)
  }
}

/**
 * A receiver of Security Event Tokens by push (RFC 8935) in this process. It checks the signature with another
 * library call than the sender's, and each claim against RFC 8417, RFC 9493 and CAEP 1.0; takes an event of a known
 * `jti` once.
 */
export class FakeEventReceiver extends ControlPlaneServer {
  readonly state = new ReceivedEvents()
  readonly faults = new InjectedFaults(this.state)
  /** Error code to answer everything with, by RFC 8935; null for none. */
  err: string | null = null
  validated = 0
  /** Each sender says when it was first about to send an event. */
  severalSenders = false

  protected broken(): Answered {
    return { status: 500, body: null }
  }

  protected async answerTo({ method, headers, body }: Asked): Promise<Answered> {
    if (method === 'OPTIONS') return { status: 405, body: null }
    if (method !== 'POST' || headers['content-type'] !== 'application/secevent+jwt')
      return this.wrong('invalid_request', 'no token of this type')
    if (headers.authorization !== 'Bearer canary-receiver-token')
      return this.wrong('authentication_failed', 'no')
    const token = String(body)
    const claims = await verified(token)
    if (typeof claims === 'string') return this.wrong('invalid_key', claims)
    const fault = claimFault(claims) ?? (decodeProtectedHeader(token).kid === 'key-1' ? null : 'no kid')
    if (fault !== null) return this.wrong('invalid_request', fault)
    this.validated++
    if (this.err !== null)
      return { status: 400, body: { err: this.err, description: 'as told\nby the test' } }
    const jti = String(claims.jti)
    return this.faults.respond(
      'Push',
      false,
      () => {
        const before = this.state.events.get(jti)
        if (before !== undefined && before.iat !== claims.iat && !this.severalSenders)
          this.violations.push('the same jti with other content')
        const times = (before?.times ?? 0) + 1
        this.state.events.set(jti, { jti, subject: claims.sub_id, iat: claims.iat, times })
        return { status: 202, body: null }
      },
      (refusal) => refused(refusal),
    )
  }

  private wrong(err: string, description: string): JsonAnswer {
    this.violations.push(`${err}: ${description}`)
    return { status: 400, body: { err, description } }
  }
}

async function verified(token: string): Promise<Readonly<Record<string, unknown>> | string> {
  try {
    const key = await importSPKI(FAKE_EVENT_KEYS.publicKey, 'ES256')
    const { payload } = await jwtVerify(token, key, {
      algorithms: ['ES256'],
      typ: 'secevent+jwt',
      issuer: FAKE_TRANSMITTER,
      audience: FAKE_AUDIENCE,
      requiredClaims: ['iat', 'jti', 'events', 'sub_id'],
    })
    return payload
  } catch (error) {
    return String(error)
  }
}

function claimFault(claims: Readonly<Record<string, unknown>>): string | null {
  const { events, sub_id, exp, sub } = claims
  if (exp !== undefined || sub !== undefined) return 'exp and sub have no place in an event'
  const event = (events as Readonly<Record<string, Readonly<Record<string, unknown>>>>)[EVENT]
  if (event === undefined || Object.keys(events as object).length !== 1) return 'not the one event'
  if (!Number.isInteger(event.event_timestamp)) return 'event_timestamp'
  if (event.initiating_entity !== 'policy') return 'initiating_entity'
  if (typeof (event.reason_admin as Record<string, unknown>)?.en !== 'string') return 'reason_admin'
  const { format, ...names } = sub_id as Readonly<Record<string, unknown>>
  const wanted = format === 'iss_sub' ? 'iss,sub' : format === 'jwt_id' ? 'iss,jti' : 'none'
  const texts = Object.values(names).every((name) => typeof name === 'string' && name !== '')
  return Object.keys(names).join() === wanted && texts ? null : 'sub_id'
}

function refused(refusal: Refusal): JsonAnswer {
  switch (refusal) {
    case 'too-many-requests':
      return { status: 429, body: null, headers: { 'retry-after': '0' } }
    case 'conflict':
      return { status: 409, body: null }
    case 'server-error':
      return { status: 503, body: null }
  }
}
