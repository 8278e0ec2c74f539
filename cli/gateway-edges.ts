import { type Clock, wallTime } from '../core/time.ts'
import { tokenFromFile, tokenFromGoogle } from '../enforcement/gateways/apigee-token.ts'
import { awsService } from '../enforcement/gateways/aws-sdk.ts'
import type { TextMap } from '../enforcement/gateways/deny-list-store.ts'
import { type HaproxyEdges, haproxyEdges } from '../enforcement/gateways/haproxy-maps.ts'
import { KongFragmentFile, type TextFile } from '../enforcement/gateways/kong-fragment-file.ts'
import type { Config } from './config/schema.ts'
import { textFolder } from './text-folder.ts'

type ApigeeConfig = Extract<Config['enforcement']['gateways'][number], { kind: 'apigee' }>

/** Where the adapters of one gateway reach out of this program: a dry run puts recorders here. */
export interface GatewayEdges {
  readonly fetch: typeof fetch
  readonly awsService: typeof awsService
  readonly haproxy: (socketPath: string) => HaproxyEdges
  /** The declarative file of a gateway of this name. */
  readonly fragmentFile: (name: string, path: string) => TextFile
  /** What was told to a receiver of events, in a folder of its own. */
  readonly events: (folder: string) => TextMap
  /** Access tokens for Apigee. */
  readonly apigeeToken: (gateway: ApigeeConfig) => () => Promise<string>
  readonly clock: Clock
}

/** The edges of a Curfew that acts. */
export const LIVE_EDGES: GatewayEdges = {
  fetch,
  awsService,
  haproxy: haproxyEdges,
  fragmentFile: (name, path) => new KongFragmentFile(name, path),
  events: textFolder,
  apigeeToken: ({ name, accessTokenPath, credentialsPath }) =>
    accessTokenPath === undefined
      ? tokenFromGoogle(name, credentialsPath ?? null)
      : tokenFromFile(name, accessTokenPath),
  clock: { now: () => wallTime(Date.now()) },
}
