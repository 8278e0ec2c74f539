import { ApisixGateway } from '../../enforcement/gateways/apisix.ts'

type Row = Readonly<Record<string, unknown>>

/**
 * A real APISIX, where one runs: `CURFEW_APISIX_ADMIN_URL` and `CURFEW_APISIX_ADMIN_KEY` are its Admin API,
 * `CURFEW_APISIX_URL` is where it serves calls (see docs/gateways/apisix.md). It is no part of the usual run.
 */
export const APISIX_ADMIN_URL = process.env.CURFEW_APISIX_ADMIN_URL
export const APISIX_URL = process.env.CURFEW_APISIX_URL ?? 'http://127.0.0.1:9080'

const ADMIN_KEY = process.env.CURFEW_APISIX_ADMIN_KEY ?? ''
const KINDS = [
  'consumers',
  'consumer_groups',
  'routes',
  'services',
  'plugin_configs',
  'global_rules',
] as const

/** An APISIX that is the tests' alone: it must hold nothing, and holds nothing afterwards. */
export class RealApisix {
  calls = 0
  isDown = false
  private readonly url: string

  constructor(url: string) {
    this.url = url.replace(/\/+$/, '')
  }

  async start(): Promise<void> {
    const held = await this.rows()
    if (held.length > 0)
      throw new Error(`APISIX holds ${held[0]!.key}: the tests want one that holds nothing`)
  }

  /** Routes first, consumers before the groups that they are in. */
  async stop(): Promise<void> {
    const places = ['routes', 'global_rules', 'services', 'plugin_configs', 'consumers', 'consumer_groups']
    const held = await this.rows()
    for (const place of places)
      for (const { key } of held)
        if (key.startsWith(`/apisix/${place}/`)) await this.admin('DELETE', key.replace('/apisix', ''))
  }

  /** Stores an object as its owner would. */
  async plant(kind: (typeof KINDS)[number], id: string, value: Row): Promise<void> {
    await this.admin('PUT', kind === 'consumers' ? '/consumers' : `/${kind}/${id}`, value)
  }

  /** Everything stored, without times, by key. */
  async state(): Promise<readonly (readonly [string, unknown])[]> {
    return (await this.rows())
      .map(({ key, value }) => {
        const { create_time: _created, update_time: _updated, ...kept } = value
        return [key, kept] as const
      })
      .sort(([a], [b]) => (a < b ? -1 : 1))
  }

  gateway(name: string): ApisixGateway {
    const counting: typeof fetch = (input, init) => {
      this.calls++
      return this.isDown ? Promise.reject(new Error('down')) : fetch(input, init)
    }
    return new ApisixGateway({ name, adminUrl: new URL(this.url), adminKey: ADMIN_KEY, fetch: counting })
  }

  private async rows(): Promise<readonly { readonly key: string; readonly value: Row }[]> {
    const lists = KINDS.map(async (kind) => {
      const { list } = (await this.admin('GET', `/${kind}`)) as {
        list: { key: string; value: Row }[] | object
      }
      return Array.isArray(list) ? list : []
    })
    return (await Promise.all(lists)).flat()
  }

  private async admin(method: string, path: string, body?: Row): Promise<unknown> {
    const answer = await fetch(`${this.url}/apisix/admin${path}`, {
      method,
      headers: { 'x-api-key': ADMIN_KEY, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`APISIX: ${method} ${path}: ${answer.status} ${text}`)
    return JSON.parse(text)
  }
}
