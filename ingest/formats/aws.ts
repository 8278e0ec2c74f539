import type { RefusedBy, Token } from '../../core/event.ts'
import { MAX_ELEMENTS } from '../envelope.ts'
import type { RejectReason } from '../format.ts'
import { refusal } from './gateway-format.ts'
import type { Mapping, StatedTarget } from './gateway-mapping.ts'
import { claimsOf, type Names, named } from './gateway-names.ts'
import type { Opened } from './json-format.ts'
import { scopesOf } from './line.ts'
import type { Members } from './members.ts'
import { gunzipped, linesIn } from './opened.ts'

/**
 * Errors that API Gateway raises about callers that its authorizers have accepted. After any other one no name
 * counts: an authorizer that denies a call states a principal, too.
 */
const ERRORS_OF_KNOWN_CALLERS: ReadonlySet<string> = new Set([
  'THROTTLED',
  'QUOTA_EXCEEDED',
  'INTEGRATION_FAILURE',
  'INTEGRATION_TIMEOUT',
  'API_CONFIGURATION_ERROR',
  'BAD_REQUEST_BODY',
  'BAD_REQUEST_PARAMETERS',
  'REQUEST_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
])
/** Errors of the integration: API Gateway answered, but it refused nobody. */
const UPSTREAM_ERRORS: ReadonlySet<string> = new Set(['INTEGRATION_FAILURE', 'INTEGRATION_TIMEOUT'])
/** A route's key in an HTTP API, `GET /v1/orders/{id}`. */
const ROUTE_KEY = /^[A-Z]{1,32} (\/.*)$/
/** How a CloudWatch Logs subscription begins; nothing that a client chose stands before it. */
const SUBSCRIPTION = /^\s{0,16}\{\s{0,16}"messageType"\s{0,16}:\s{0,16}"(DATA|CONTROL)_MESSAGE"/

const SHARED_MEMBERS = {
  time: 'requestTimeEpoch',
  duration: 'responseLatency',
  clientIp: 'ip',
  method: 'httpMethod',
  uri: 'path',
  status: 'status',
  responseBytes: 'responseLength',
  userAgent: 'userAgent',
  records: 'recordsReturned',
  integrationStatus: 'integrationStatus',
  integrationLatency: 'integrationLatency',
  sub: 'sub',
  iss: 'iss',
  jti: 'jti',
  scope: 'scope',
  authorizerError: 'authorizerError',
  errorType: 'errorResponseType',
  decision: 'decision',
} as const

/**
 * AWS API Gateway, REST APIs: the stage's access log in the format of docs/gateways/aws.md. All values are text,
 * `-` is none, and AWS does not promise to escape them. `$context` variables: API Gateway Developer Guide,
 * "Variables for access logging". The value of an API key is not among the members, so it is never kept.
 */
export const AWS_REST: Mapping = {
  name: 'aws-rest',
  members: {
    ...SHARED_MEMBERS,
    id: 'extendedRequestId',
    spareId: 'requestId',
    route: 'resourcePath',
    apiKeyId: 'apiKeyId',
    principalId: 'principalId',
  },
  timeIs: 'start',
  durationUnitMs: 1,
  sealedBy: ['apiKeyId', 'principalId', 'sub', 'jti', 'iss', 'authorizerError', 'errorType'],
  names: (m) => namesOf(m, m.name('apiKeyId')),
  refusedBy,
  open: openSubscription,
}

/** AWS API Gateway, HTTP APIs. See {@link AWS_REST}. */
export const AWS_HTTP: Mapping = {
  name: 'aws-http',
  members: { ...SHARED_MEMBERS, id: 'requestId', routeKey: 'routeKey' },
  timeIs: 'start',
  durationUnitMs: 1,
  sealedBy: ['sub', 'jti', 'iss', 'authorizerError'],
  names: (m) => namesOf(m, null),
  refusedBy,
  target: httpTarget,
  open: openSubscription,
}

/** The subject is the claim, or what a Lambda authorizer calls its principal; with IAM that is an ARN. */
function namesOf(m: Members, apiKeyId: string | null): Names | null {
  const error = m.text('errorType')
  if (m.states('authorizerError') || (error !== null && !ERRORS_OF_KNOWN_CALLERS.has(error))) return null
  const principal = m.name('principalId')
  const account = principal?.startsWith('arn:') ? principal : null
  const claims = claimsOf(m)
  const token =
    principal === null || account !== null || claims?.sub != null ? claims : subjectOf(m, principal)
  return { key: named(apiKeyId), account: named(account), token, credential: apiKeyId }
}

/** What a Lambda authorizer says of the token beside its principal, when it says it. */
function subjectOf(m: Members, sub: string): Token {
  const scopes = m.states('scope') ? scopesOf(m.value('scope')) : []
  return { iss: m.name('iss'), sub, jti: m.name('jti'), iat: null, exp: null, scopes }
}

function refusedBy(m: Members, status: number | null): RefusedBy {
  const error = m.text('errorType')
  const answered = m.states('integrationStatus') || m.states('integrationLatency')
  const isOwn =
    error === null ? !answered && !(status !== null && status >= 500) : !UPSTREAM_ERRORS.has(error)
  return refusal(status, isOwn, m.isInFront('decision'))
}

function httpTarget(m: Members): StatedTarget {
  const key = m.text('routeKey')
  return {
    method: m.text('method'),
    uri: m.text('uri'),
    route: key === null ? null : (ROUTE_KEY.exec(key)?.[1] ?? null),
  }
}

/** A CloudWatch Logs subscription, gzip or not: the lines are texts in its `logEvents`. */
function openSubscription(bytes: Buffer): Opened | null {
  const plain = gunzipped(bytes)
  if (plain !== null && !Buffer.isBuffer(plain)) return plain
  if (SUBSCRIPTION.test((plain ?? bytes).toString('latin1', 0, 96))) return subscribed(plain ?? bytes)
  return plain === null ? null : { calls: linesIn(plain), fault: null }
}

function subscribed(bytes: Buffer): Opened {
  const broken = (reason: RejectReason): Opened => ({
    calls: [],
    fault: { reason, detail: 'the subscription message' },
  })
  let message: unknown
  try {
    message = JSON.parse(bytes.toString('utf8'))
  } catch {
    return broken('truncated')
  }
  const { messageType, logEvents } = message as { messageType: unknown; logEvents?: unknown }
  if (messageType === 'CONTROL_MESSAGE') return { calls: [], fault: null }
  if (!Array.isArray(logEvents) || logEvents.length === 0) return broken('missing-field')
  const lines: unknown[] = logEvents.slice(0, MAX_ELEMENTS).map((event) => event?.message)
  const calls = lines.map((line) => Buffer.from(typeof line === 'string' ? line : ''))
  return {
    calls,
    fault:
      logEvents.length > MAX_ELEMENTS ? { reason: 'too-long', detail: 'the subscription message' } : null,
  }
}
