import { eachElement } from '../envelope.ts'
import { cutText } from '../scrub.ts'
import type { Mapping, StatedTarget } from './gateway-mapping.ts'
import { type Names, named } from './gateway-names.ts'
import type { Opened } from './json-format.ts'
import type { Members } from './members.ts'
import { gunzipped, linesIn } from './opened.ts'

/** Errors of calls that AWS could not authenticate. */
const NOT_AUTHENTICATED =
  /^(?:Client\.)?(?:InvalidClientTokenId|SignatureDoesNotMatch|InvalidSignatureException|MissingAuthenticationToken(?:Exception)?|IncompleteSignature|AuthFailure|ExpiredToken(?:Exception)?|RequestExpired|InvalidAccessKeyId|UnrecognizedClientException)$/
const REFUSED = /AccessDenied|Unauthorized|Forbidden|NotAuthorized/i
const THROTTLED = /Throttl|TooManyRequests|RequestLimitExceeded|SlowDown|RateExceeded/i
const NOT_FOUND = /NotFound|NoSuch|DoesNotExist/i
const READING = /^(?:Get|List|Describe|Head|Lookup|BatchGet|Query|Scan|Select|Search)/
const RECORDS = /^\s{0,16}\{\s{0,16}"Records"\s{0,16}:\s{0,16}\[/
const MAX_OBJECTS = 16
const MAX_OBJECT_CHARS = 256

/**
 * AWS CloudTrail: management and data events, alone or as the `Records` of a log file (gzip or not). AWS delivers
 * them minutes late. Members: CloudTrail User Guide, "CloudTrail record contents" and "userIdentity element".
 */
export const CLOUDTRAIL: Mapping = {
  name: 'cloudtrail',
  members: {
    time: 'eventTime',
    id: 'eventID',
    spareId: 'requestID',
    clientIp: 'sourceIPAddress',
    service: 'eventSource',
    operation: 'eventName',
    readOnly: 'readOnly',
    error: 'errorCode',
    errorMessage: 'errorMessage',
    login: 'responseElements.ConsoleLogin',
    type: 'userIdentity.type',
    arn: 'userIdentity.arn',
    accountId: 'userIdentity.accountId',
    principalId: 'userIdentity.principalId',
    accessKeyId: 'userIdentity.accessKeyId',
    invokedBy: 'userIdentity.invokedBy',
    roleArn: 'userIdentity.sessionContext.sessionIssuer.arn',
    bucket: 'requestParameters.bucketName',
    key: 'requestParameters.key',
    resources: 'resources',
    requestBytes: 'additionalEventData.bytesTransferredIn',
    responseBytes: 'additionalEventData.bytesTransferredOut',
    userAgent: 'userAgent',
  },
  timeIs: 'end',
  durationUnitMs: 1,
  sealedBy: [],
  isCall: (m) => m.states('operation') && m.states('service'),
  names: namesOf,
  status: statusOf,
  refusedBy: (_, status) =>
    status === 401 || status === 403 || status === 429 ? 'gateway' : status === 404 ? 'upstream' : null,
  target: targetOf,
  open: openRecords,
}

/** CloudTrail has error codes; these are the HTTP statuses that they mean. */
function statusOf(m: Members): number | null {
  const error = m.text('error')
  const isFailedLogin = m.text('login') === 'Failure' || m.text('errorMessage') === 'Failed authentication'
  if (isFailedLogin || (error !== null && NOT_AUTHENTICATED.test(error))) return 401
  if (error === null) return m.line.salvaged ? null : 200
  if (REFUSED.test(error)) return 403
  if (THROTTLED.test(error)) return 429
  return NOT_FOUND.test(error) ? 404 : 400
}

/**
 * A role stands for its sessions, whose names the caller chooses. Whoever is outside the account without a
 * name, or was not authenticated, is an address.
 */
function namesOf(m: Members): Names | null {
  const accountId = m.name('accountId')
  const shared = {
    credential: m.name('accessKeyId'),
    owners: accountId === null ? [] : [`org:${accountId}`],
  }
  const type = m.text('type')
  if (type === 'IAMUser' || type === 'Root') return { ...shared, account: named(m.name('arn')) }
  if (type === 'AssumedRole' || type === 'FederatedUser' || type === 'Role')
    return { ...shared, account: named(m.name('roleArn') ?? (type === 'Role' ? m.name('arn') : null)) }
  if (type === 'AWSService') return { account: named(m.name('invokedBy')) }
  const isStranger =
    accountId === null || accountId === 'anonymous' || m.text('principalId') === 'ANONYMOUS_PRINCIPAL'
  return type === 'AWSAccount' && !isStranger ? { ...shared, account: named(accountId) } : null
}

function targetOf(m: Members): StatedTarget {
  const operation = m.text('operation') ?? ''
  const service = (m.text('service') ?? '').replace(/\.amazonaws\.com$/, '')
  const isReading = m.value('readOnly') === true || READING.test(operation)
  const route = `/${service}/${operation}`
  return { method: isReading ? 'GET' : 'POST', uri: route, route, objectIds: objectsOf(m) }
}

function objectsOf(m: Members): readonly string[] {
  const bucket = m.text('bucket')
  const key = m.text('key')
  if (key !== null) return [cutText(bucket === null ? key : `${bucket}/${key}`, MAX_OBJECT_CHARS)]
  const resources = m.value('resources')
  const arns: unknown[] = Array.isArray(resources) ? resources.slice(0, MAX_OBJECTS).map((r) => r?.ARN) : []
  const stated = arns.filter((arn) => typeof arn === 'string' && arn !== '')
  return stated.map((arn) => cutText(String(arn), MAX_OBJECT_CHARS))
}

/** A log file: `{"Records":[...]}`. */
function openRecords(bytes: Buffer): Opened | null {
  const plain = gunzipped(bytes)
  if (plain !== null && !Buffer.isBuffer(plain)) return plain
  const text = plain ?? bytes
  const head = RECORDS.exec(text.toString('latin1', 0, 96))
  if (head === null) return plain === null ? null : { calls: linesIn(plain), fault: null }
  const calls: Buffer[] = []
  const end = text.lastIndexOf('}')
  const fault = eachElement(text.subarray(head[0].length - 1, end < 0 ? text.length : end), (element) => {
    calls.push(Buffer.from(element.buffer, element.byteOffset, element.length))
  })
  return { calls, fault: fault === null ? null : { reason: fault, detail: 'the records of the file' } }
}
