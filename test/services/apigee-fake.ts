import type { ApigeeDescription } from './apigee-description.ts'
import { ApigeeFakeState } from './apigee-fake-state.ts'
import { type Answered, type Asked, ControlPlaneServer, type JsonAnswer } from './control-plane-server.ts'
import { InjectedFaults, type Refusal } from './injected-faults.ts'

/** Apigee's management API in this process: the part that enforcement uses, with its traps. */
export class FakeApigee extends ControlPlaneServer {
  readonly state: ApigeeFakeState
  /** Operations are a method and a path. */
  readonly faults: InjectedFaults<ReturnType<ApigeeFakeState['snapshot']>>
  /** Requests that were checked against the official description. */
  validated = 0
  answered = 0
  /** Status for every call, such as the 405 of an organisation without the feature; null for none. */
  status: number | null = null
  authorization: string | undefined
  private readonly description: ApigeeDescription | null

  constructor(description: ApigeeDescription | null, pageSize: number) {
    super()
    this.description = description
    this.state = new ApigeeFakeState(pageSize)
    this.faults = new InjectedFaults(this.state)
  }

  protected broken(): Answered {
    return this.state.fault(500, 'INTERNAL')
  }

  protected answerTo({ method, url, headers, body }: Asked): Answered {
    this.authorization = headers.authorization
    if (this.status !== null) return this.state.fault(this.status, 'UNKNOWN')
    this.answered++
    if (this.description !== null) {
      this.note(this.description.request(method, url, body))
      this.validated++
    }
    if (!/^Bearer \S+$/.test(this.authorization ?? '')) this.violations.push(`${method} without a token`)
    const plain = String(headers['content-type'])
    const answer = this.faults.respond(
      `${method} ${url.pathname}`,
      method === 'GET',
      () => this.state.answer(method, url, body, plain),
      (refusal) => this.refused(refusal),
    )
    if (answer !== null && answer !== 'garbage' && answer.status === 200 && this.description !== null)
      this.note(this.description.answer(method, url, answer.body))
    return answer
  }

  private refused(refusal: Refusal): JsonAnswer {
    switch (refusal) {
      case 'too-many-requests':
        return { ...this.state.fault(429, 'RESOURCE_EXHAUSTED'), headers: { 'retry-after': '0' } }
      case 'conflict':
        return this.state.fault(409, 'ALREADY_EXISTS')
      case 'server-error':
        return this.state.fault(503, 'UNAVAILABLE')
    }
  }
}
