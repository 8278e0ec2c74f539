import type { AwsDescription } from './aws-description.ts'
import { AwsFakeState } from './aws-fake-state.ts'
import { type Answered, type Asked, ControlPlaneServer, type JsonAnswer } from './control-plane-server.ts'
import { InjectedFaults, type Refusal } from './injected-faults.ts'

export interface FakeAwsOptions {
  /** Check every request and answer; null when the official models are not at hand. */
  readonly apigateway: AwsDescription | null
  readonly cognito: AwsDescription | null
  readonly dynamodb: AwsDescription | null
  readonly wafv2: AwsDescription | null
  readonly pageSize?: number
}

const ROUTES: readonly (readonly [string, RegExp, string])[] = [
  ['GET', /^\/apikeys$/, 'GetApiKeys'],
  ['GET', /^\/apikeys\/([^/]+)$/, 'GetApiKey'],
  ['PATCH', /^\/apikeys\/([^/]+)$/, 'UpdateApiKey'],
  ['GET', /^\/usageplans$/, 'GetUsagePlans'],
  ['GET', /^\/usageplans\/([^/]+)$/, 'GetUsagePlan'],
  ['GET', /^\/usageplans\/([^/]+)\/keys$/, 'GetUsagePlanKeys'],
  ['POST', /^\/usageplans\/([^/]+)\/keys$/, 'CreateUsagePlanKey'],
  ['DELETE', /^\/usageplans\/([^/]+)\/keys\/([^/]+)$/, 'DeleteUsagePlanKey'],
  ['DELETE', /^\/restapis\/([^/]+)\/stages\/([^/]+)\/cache\/authorizers$/, 'FlushStageAuthorizersCache'],
]
const TARGET = /^(DynamoDB_20120810|AWSWAF_20190729|AWSCognitoIdentityProviderService)\.(\w+)$/
const SIGNED =
  /^AWS4-HMAC-SHA256 Credential=[^/]+\/\d{8}\/[a-z0-9-]+\/(apigateway|cognito-idp|dynamodb|wafv2)\/aws4_request, SignedHeaders=\S+, Signature=[0-9a-f]{64}$/

/** API Gateway (REST-JSON), and DynamoDB, WAF and Cognito (JSON), in this process: the part that enforcement uses, with its traps. */
export class FakeAws extends ControlPlaneServer {
  readonly state: AwsFakeState
  readonly faults: InjectedFaults<ReturnType<AwsFakeState['snapshot']>>
  /** Requests that were checked against the official model. */
  validated = 0
  /** Operations in the order in which they came. */
  readonly log: string[] = []
  private readonly options: FakeAwsOptions

  constructor(options: FakeAwsOptions) {
    super()
    this.options = options
    this.state = new AwsFakeState(options.pageSize ?? 500)
    this.faults = new InjectedFaults(this.state)
  }

  protected broken(): Answered {
    return { status: 500, body: { message: 'internal' } }
  }

  protected answerTo({ method, url, headers, body }: Asked): Answered {
    const [, service, target] = TARGET.exec(String(headers['x-amz-target'] ?? '')) ?? []
    const route = ROUTES.find(([verb, path]) => verb === method && path.test(url.pathname))
    const operation = target ?? route?.[2] ?? 'unknown'
    this.log.push(operation)
    const description = this.descriptionOf(service)
    if (!SIGNED.test(String(headers.authorization))) this.violations.push(`${operation}: not signed`)
    if (description !== null) {
      this.note(description.request(operation, { method, url, headers, body }))
      this.validated++
    }
    const parameters = route?.[1].exec(url.pathname)?.slice(1).map(decodeURIComponent) ?? []
    const answer = this.faults.respond(
      operation,
      /^(Get|Query|Describe)/.test(operation),
      () => this.state.answer(operation, parameters, url, body),
      (refusal) => this.refused(operation, refusal),
    )
    if (answer !== null && answer !== 'garbage' && answer.status < 300 && description !== null)
      this.note(description.answer(operation, answer.body ?? {}))
    return answer
  }

  private descriptionOf(service: string | undefined): AwsDescription | null {
    const { apigateway, cognito, dynamodb, wafv2 } = this.options
    if (service === undefined) return apigateway
    return service.startsWith('AWSWAF') ? wafv2 : service.startsWith('AWSCognito') ? cognito : dynamodb
  }

  private refused(operation: string, refusal: Refusal): JsonAnswer {
    const json = /Item|Query|IPSet|User/.test(operation)
    switch (refusal) {
      case 'too-many-requests':
        return json
          ? this.state.fault(400, /User/.test(operation) ? 'TooManyRequestsException' : 'ThrottlingException')
          : { ...this.state.fault(429, 'TooManyRequestsException'), headers: { 'retry-after': '0' } }
      case 'conflict':
        return json
          ? this.state.fault(
              400,
              operation === 'UpdateIPSet' ? 'WAFOptimisticLockException' : 'TransactionConflictException',
            )
          : this.state.fault(409, 'ConflictException')
      case 'server-error':
        return this.state.fault(500, json ? 'InternalServerError' : 'InternalFailure')
    }
  }
}
