import { CurfewError } from '../../core/errors.ts'
import type { AwsCall } from './aws-sdk.ts'

/** A stage whose Lambda authorizers cache what they answered. */
export interface CachedStage {
  readonly restApiId: string
  readonly stage: string
}

/**
 * Empties authorizer caches, which concerns every caller of the stage: each is asked again once. Those who want
 * it while it is under way share the next one, so that a burst of decisions costs two calls per stage.
 */
export class AuthorizerCaches {
  private readonly call: AwsCall
  private readonly stages: readonly CachedStage[]
  private running: Promise<void> | null = null
  private next: Promise<void> | null = null

  constructor(call: AwsCall, stages: readonly CachedStage[]) {
    this.call = call
    this.stages = stages
  }

  /** Resolves when everything cached before the call is gone; fails when a stage could not be emptied. */
  async flush(stop: AbortSignal): Promise<void> {
    if (this.running === null) {
      this.running = this.all(stop).finally(() => {
        this.running = null
      })
      return this.running
    }
    const { running } = this
    this.next ??= running
      .catch(() => undefined)
      .then(() => {
        this.next = null
        return this.flush(stop)
      })
    return this.next
  }

  private async all(stop: AbortSignal): Promise<void> {
    for (const { restApiId, stage } of this.stages) {
      const done = await this.call('FlushStageAuthorizersCache', { restApiId, stageName: stage }, stop)
      if (done === null)
        throw new CurfewError('GATEWAY_REFUSED', `AWS API Gateway has no stage ${restApiId}/${stage}`)
    }
  }
}
