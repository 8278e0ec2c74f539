import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { AwsDescription } from './aws-description.ts'
import { AwsFakeState, type FakeAnswer } from './aws-fake-state.ts'

type Failure = 'refused' | 'status-500' | 'garbage' | 'hang'

/**
 * How one call goes wrong. `lost-answer`: done, and the connection ends. `lost-write`: answered as done, and
 * overwritten at once. `ignored`: accepted and never done. `late`: done after the next two reads.
 */
export type FakeFault =
  | 'too-many-requests'
  | 'conflict'
  | 'server-error'
  | 'cut-connection'
  | 'lost-answer'
  | 'ignored'
  | 'late'
  | 'garbage'

export interface FakeAwsOptions {
  /** Check every request and answer; null when the official models are not at hand. */
  readonly apigateway: AwsDescription | null
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
const TARGET = /^(DynamoDB_20120810|AWSWAF_20190729)\.(\w+)$/
const SIGNED =
  /^AWS4-HMAC-SHA256 Credential=[^/]+\/\d{8}\/[a-z0-9-]+\/(apigateway|dynamodb|wafv2)\/aws4_request, SignedHeaders=\S+, Signature=[0-9a-f]{64}$/

/** API Gateway (REST-JSON) and DynamoDB and WAF (JSON) in this process: the part that enforcement uses, with its traps. */
export class FakeAws {
  readonly state: AwsFakeState
  /** What a request or an answer did not keep to; must stay empty. */
  readonly violations: string[] = []
  calls = 0
  /** Requests that were checked against the official model. */
  validated = 0
  /** Operations in the order in which they came. */
  readonly log: string[] = []
  private readonly faults: { readonly operation: RegExp; readonly fault: FakeFault; left: number }[] = []
  private readonly options: FakeAwsOptions
  private failure: Failure | null = null
  private server: Server | null = null
  private port = 0
  private late: { readonly apply: () => void; reads: number } | null = null

  constructor(options: FakeAwsOptions) {
    this.options = options
    this.state = new AwsFakeState(options.pageSize ?? 500)
  }

  get url(): URL {
    return new URL(`http://127.0.0.1:${this.port}`)
  }

  async start(): Promise<void> {
    const server = createServer((request, response) => void this.serve(request, response))
    this.server = server
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve))
    this.port = (server.address() as AddressInfo).port
  }

  async stop(): Promise<void> {
    const server = this.server
    this.server = null
    if (server === null) return
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }

  async fail(failure: Failure | null): Promise<void> {
    this.failure = failure
    if (failure === 'refused') await this.stop()
    else if (this.server === null) await this.start()
  }

  /** The next `times` calls of matching operations go wrong. */
  inject(operation: RegExp, fault: FakeFault, times = 1): void {
    this.faults.push({ operation, fault, left: times })
  }

  /** Injected faults that nothing ran into. */
  get unmet(): number {
    return this.faults.reduce((sum, { left }) => sum + left, 0)
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.calls++
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    if (this.failure === 'hang') return
    if (this.failure === 'garbage') return void response.end('<html>login</html>')
    if (this.failure === 'status-500') return send(response, { status: 500, body: { message: 'internal' } })
    const url = new URL(request.url ?? '/', 'http://aws')
    const text = Buffer.concat(chunks).toString('utf8')
    const body: unknown = text === '' ? null : JSON.parse(text)
    const method = request.method ?? 'GET'
    const [, service, target] = TARGET.exec(String(request.headers['x-amz-target'] ?? '')) ?? []
    const route = ROUTES.find(([verb, path]) => verb === method && path.test(url.pathname))
    const operation = target ?? route?.[2] ?? 'unknown'
    this.log.push(operation)
    const { apigateway, dynamodb, wafv2 } = this.options
    const description = service === undefined ? apigateway : service.startsWith('AWSWAF') ? wafv2 : dynamodb
    if (!SIGNED.test(String(request.headers.authorization))) this.violations.push(`${operation}: not signed`)
    if (description !== null) {
      this.note(description.request(operation, { method, url, headers: request.headers, body }))
      this.validated++
    }
    const parameters = route?.[1].exec(url.pathname)?.slice(1).map(decodeURIComponent) ?? []
    const answer = await this.respond(operation, () => this.state.answer(operation, parameters, url, body))
    if (answer === null) return void request.socket.destroy()
    if (answer === 'garbage') return void response.end('<html>login</html>')
    if (answer.status < 300 && description !== null)
      this.note(description.answer(operation, answer.body ?? {}))
    send(response, answer)
  }

  private note(violation: string | null): void {
    if (violation !== null) this.violations.push(violation)
  }

  private async respond(operation: string, act: () => FakeAnswer): Promise<FakeAnswer | 'garbage' | null> {
    this.settleLate(/^(Get|Query)/.test(operation))
    const entry = this.faults.find((one) => one.left > 0 && one.operation.test(operation))
    if (entry === undefined) return act()
    entry.left--
    const json = /Item|Query|IPSet/.test(operation)
    switch (entry.fault) {
      case 'too-many-requests':
        return json
          ? this.state.fault(400, 'ThrottlingException')
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
      case 'cut-connection':
        return null
      case 'garbage':
        return 'garbage'
      case 'lost-answer':
        act()
        return null
      default:
        return this.pretend(entry.fault, act)
    }
  }

  /** Answers as if it had been done. */
  private pretend(fault: 'ignored' | 'late', act: () => FakeAnswer): FakeAnswer {
    const before = this.state.snapshot()
    const answer = act()
    const after = this.state.snapshot()
    this.state.restore(before)
    if (fault === 'late') this.late = { apply: () => this.state.restore(after), reads: 2 }
    return answer
  }

  private settleLate(isRead: boolean): void {
    if (this.late === null) return
    if (isRead && this.late.reads-- > 0) return
    this.late.apply()
    this.late = null
  }
}

function send(response: ServerResponse, { status, body, headers = {} }: FakeAnswer): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(body === null ? undefined : JSON.stringify(body))
}
