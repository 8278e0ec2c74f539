import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ApigeeDescription } from './apigee-description.ts'
import { type ApigeeFakeAnswer, ApigeeFakeState } from './apigee-fake-state.ts'

type Failure = 'refused' | 'status-500' | 'garbage' | 'hang'

/** As for the stand-in of AWS; `405` is what an organisation without the feature answers. */
export type ApigeeFault =
  | 'too-many-requests'
  | 'conflict'
  | 'server-error'
  | 'cut-connection'
  | 'lost-answer'
  | 'ignored'
  | 'late'
  | 'garbage'

/** Apigee's management API in this process: the part that enforcement uses, with its traps. */
export class FakeApigee {
  readonly state: ApigeeFakeState
  /** What a request or an answer did not keep to; must stay empty. */
  readonly violations: string[] = []
  calls = 0
  /** Requests that were checked against the official description. */
  validated = 0
  answered = 0
  /** Status for every call, such as 405; null for none. */
  status: number | null = null
  authorization: string | undefined
  private readonly faults: { readonly operation: RegExp; readonly fault: ApigeeFault; left: number }[] = []
  private readonly description: ApigeeDescription | null
  private failure: Failure | null = null
  private server: Server | null = null
  private port = 0
  private late: { readonly apply: () => void; reads: number } | null = null

  constructor(description: ApigeeDescription | null, pageSize: number) {
    this.description = description
    this.state = new ApigeeFakeState(pageSize)
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

  /** The next `times` calls whose method and path match go wrong. */
  inject(operation: RegExp, fault: ApigeeFault, times = 1): void {
    this.faults.push({ operation, fault, left: times })
  }

  /** Injected faults that nothing ran into. */
  get unmet(): number {
    return this.faults.reduce((sum, { left }) => sum + left, 0)
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.calls++
    this.authorization = request.headers.authorization
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    if (this.failure === 'hang') return
    if (this.failure === 'garbage') return void response.end('<html>login</html>')
    if (this.failure === 'status-500') return send(response, this.state.fault(500, 'INTERNAL'))
    if (this.status !== null) return send(response, this.state.fault(this.status, 'UNKNOWN'))
    this.answered++
    const url = new URL(request.url ?? '/', 'http://apigee')
    const text = Buffer.concat(chunks).toString('utf8')
    const body: unknown = text === '' ? null : JSON.parse(text)
    const method = request.method ?? 'GET'
    if (this.description !== null) {
      this.note(this.description.request(method, url, body))
      this.validated++
    }
    if (!/^Bearer \S+$/.test(this.authorization ?? '')) this.violations.push(`${method} without a token`)
    const plain = String(request.headers['content-type'])
    const act = () => this.state.answer(method, url, body, plain)
    const answer = this.respond(method, `${method} ${url.pathname}`, act)
    if (answer === null) return void request.socket.destroy()
    if (answer === 'garbage') return void response.end('<html>login</html>')
    if (answer.status === 200 && this.description !== null)
      this.note(this.description.answer(method, url, answer.body))
    send(response, answer)
  }

  private note(violation: string | null): void {
    if (violation !== null) this.violations.push(violation)
  }

  private respond(
    method: string,
    operation: string,
    act: () => ApigeeFakeAnswer,
  ): ApigeeFakeAnswer | 'garbage' | null {
    this.settleLate(method === 'GET')
    const entry = this.faults.find((one) => one.left > 0 && one.operation.test(operation))
    if (entry === undefined) return act()
    entry.left--
    switch (entry.fault) {
      case 'too-many-requests':
        return { ...this.state.fault(429, 'RESOURCE_EXHAUSTED'), headers: { 'retry-after': '0' } }
      case 'conflict':
        return this.state.fault(409, 'ALREADY_EXISTS')
      case 'server-error':
        return this.state.fault(503, 'UNAVAILABLE')
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

  /** Answers as if it had been done; `late` does it after the next two reads. */
  private pretend(fault: 'ignored' | 'late', act: () => ApigeeFakeAnswer): ApigeeFakeAnswer {
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

function send(response: ServerResponse, { status, body, headers = {} }: ApigeeFakeAnswer): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(body === null ? undefined : JSON.stringify(body))
}
