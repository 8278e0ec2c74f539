import { Webhook } from 'standardwebhooks'
import type { ScriptedHttp } from './scripted-http.ts'
import { startScriptedHttp } from './scripted-http.ts'

export interface ReceivedWebhook {
  readonly id: string
  readonly body: { readonly type: string; readonly timestamp: string; readonly data: Record<string, unknown> }
}

export interface WebhookReceiver extends ScriptedHttp {
  readonly webhooks: readonly ReceivedWebhook[]
  /** Why webhooks were rejected. */
  readonly rejections: readonly string[]
}

/**
 * An endpoint that checks each webhook with the reference implementation, which also rejects timestamps more
 * than 5 minutes away from the machine's clock, and answers 401 to what it rejects.
 */
export async function startWebhookReceiver(secret: string): Promise<WebhookReceiver> {
  const verifier = new Webhook(secret)
  const webhooks: ReceivedWebhook[] = []
  const rejections: string[] = []
  const http = await startScriptedHttp(({ headers, body }) => {
    try {
      const flat = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]))
      const verified = verifier.verify(body.toString('utf8'), flat) as ReceivedWebhook['body']
      if (body.length > 20_000) throw new Error('larger than 20 kB')
      webhooks.push({ id: String(headers['webhook-id']), body: verified })
      return { status: 204 }
    } catch (error) {
      rejections.push(error instanceof Error ? error.message : String(error))
      return { status: 401, body: 'rejected' }
    }
  })
  return { ...http, webhooks, rejections }
}
