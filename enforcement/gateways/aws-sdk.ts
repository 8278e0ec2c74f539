import { CurfewError } from '../../core/errors.ts'
import { within } from '../time-limit.ts'
import type { CallBudget } from './aws-budget.ts'

/** Services that enforcement calls, each with its own package of the AWS SDK. */
export type AwsServiceName = 'api-gateway' | 'cognito-identity-provider' | 'dynamodb' | 'wafv2'

export interface AwsCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

export interface AwsConnection {
  /** Name of the gateway in the configuration, for messages. */
  readonly name: string
  readonly region: string
  /** Null: the SDK's own chain (environment, profile, container, instance). */
  readonly credentials: AwsCredentials | null
  /** Another address than the region's, such as a VPC endpoint; null for the region's. */
  readonly endpoint: URL | null
  readonly timeoutMs: number
  /** Shared by all that counts against one limit of AWS; null where AWS has no such limit. */
  readonly budget: CallBudget | null
}

/** An answer as the SDK parsed it. */
export type AwsAnswer = Readonly<Record<string, unknown>>

/** One AWS service. Every failure is a {@link CurfewError}; null for what does not exist (404). */
export type AwsCall = (operation: string, input: object, stop: AbortSignal) => Promise<AwsAnswer | null>

interface SdkClient {
  send(command: object, options: { readonly abortSignal: AbortSignal }): Promise<AwsAnswer>
}

type Module = Readonly<Record<string, unknown>>

const LOADERS: Readonly<Record<AwsServiceName, () => Promise<unknown>>> = {
  'api-gateway': () => import('@aws-sdk/client-api-gateway'),
  'cognito-identity-provider': () => import('@aws-sdk/client-cognito-identity-provider'),
  dynamodb: () => import('@aws-sdk/client-dynamodb'),
  wafv2: () => import('@aws-sdk/client-wafv2'),
}
const CLIENTS: Readonly<Record<AwsServiceName, string>> = {
  'api-gateway': 'APIGatewayClient',
  'cognito-identity-provider': 'CognitoIdentityProviderClient',
  dynamodb: 'DynamoDBClient',
  wafv2: 'WAFV2Client',
}

/** Opens a service; its package of the SDK is loaded with the first call. Nothing is sent before. */
export function awsService(service: AwsServiceName, connection: AwsConnection): AwsCall {
  const { name, timeoutMs, budget } = connection
  let opened: Promise<{ readonly sdk: Module; readonly client: SdkClient }> | null = null
  return async (operation, input, stop) => {
    if (stop.aborted) throw aborted(name, stop)
    opened ??= open(service, connection)
    const { sdk, client } = await opened
    const Command = sdk[`${operation}Command`] as new (input: object) => object
    const what = `${service} ${operation}`
    await budget?.take(stop)
    let isLate = false
    try {
      return await within(timeoutMs, stop, (signal) => {
        signal.addEventListener('abort', () => (isLate = true), { once: true })
        return client.send(new Command(input), { abortSignal: signal })
      })
    } catch (cause) {
      if (stop.aborted) throw aborted(name, stop)
      if (isLate) throw unreachable(`${name}: no answer within ${timeoutMs} ms to ${what}`, cause)
      return absentOrThrow(name, what, cause)
    }
  }
}

async function open(
  service: AwsServiceName,
  { name, region, credentials, endpoint }: AwsConnection,
): Promise<{ readonly sdk: Module; readonly client: SdkClient }> {
  let sdk: Module
  try {
    sdk = (await LOADERS[service]()) as Module
  } catch (cause) {
    const what = `${name}: the AWS SDK is not installed: npm install @aws-sdk/client-${service}`
    throw new CurfewError('CONFIG_INVALID', what, { cause })
  }
  const Client = sdk[CLIENTS[service]] as new (options: object) => SdkClient
  const client = new Client({
    region,
    // The reconciler waits and tries again; a second hidden retry would break the shared budget.
    maxAttempts: 1,
    ...(credentials === null ? {} : { credentials }),
    ...(endpoint === null ? {} : { endpoint: endpoint.href.replace(/\/$/, '') }),
  })
  return { sdk, client }
}

interface SdkFailure {
  readonly name?: unknown
  readonly message?: unknown
  readonly retryAfterSeconds?: unknown
  readonly $metadata?: { readonly httpStatusCode?: unknown }
}

const BUSY =
  /^(TooManyRequests|LimitExceeded|ProvisionedThroughputExceeded|Throttling|ThrottledException|RequestLimitExceeded|InternalServerError|WAFInternalError|WAFUnavailableEntity)/
const LOST_RACE =
  /^(ConflictException|ConditionalCheckFailedException|TransactionConflictException|WAFOptimisticLockException)/

function absentOrThrow(name: string, what: string, cause: unknown): null {
  const failure: SdkFailure = typeof cause === 'object' && cause !== null ? cause : {}
  const kind = typeof failure.name === 'string' ? failure.name : 'unknown'
  const status = Number(failure.$metadata?.httpStatusCode ?? Number.NaN)
  if (kind === 'NotFoundException' && status === 404) return null
  const told = `${name}: AWS answered ${JSON.stringify(kind.slice(0, 60))} to ${what}`
  if (LOST_RACE.test(kind)) throw new CurfewError('GATEWAY_CONFLICT', told, { retriable: true, cause })
  if (BUSY.test(kind) || status === 429 || !(status >= 400 && status < 500)) {
    const seconds = Number(failure.retryAfterSeconds ?? Number.NaN)
    throw unreachable(told, cause, seconds)
  }
  const message = typeof failure.message === 'string' ? failure.message.slice(0, 80) : 'no reason given'
  throw new CurfewError('GATEWAY_REFUSED', `${told}: ${JSON.stringify(message)}`, { cause })
}

function unreachable(message: string, cause: unknown, retryAfterSeconds = Number.NaN): CurfewError {
  const wait =
    Number.isFinite(retryAfterSeconds) && retryAfterSeconds >= 0
      ? { retryAfterMs: Math.min(retryAfterSeconds, 3_600) * 1_000 }
      : {}
  return new CurfewError('GATEWAY_UNREACHABLE', message, { retriable: true, cause, ...wait })
}

function aborted(name: string, stop: AbortSignal): CurfewError {
  return new CurfewError('ABORTED', `${name}: aborted`, { cause: stop.reason })
}
