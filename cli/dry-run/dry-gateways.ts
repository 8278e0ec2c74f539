import { existsSync } from 'node:fs'
import { connectRedis, type RedisClient } from '../../baseline/stores/redis-client.ts'
import { CurfewError } from '../../core/errors.ts'
import type { Clock } from '../../core/time.ts'
import { ApigeePlane } from '../../enforcement/dry-run/apigee-plane.ts'
import { ApisixPlane } from '../../enforcement/dry-run/apisix-plane.ts'
import { DryAws } from '../../enforcement/dry-run/dry-aws.ts'
import { dryFetch, type HttpPlane } from '../../enforcement/dry-run/dry-fetch.ts'
import { DryFile, recordReplaced } from '../../enforcement/dry-run/dry-file.ts'
import { dryHaproxy } from '../../enforcement/dry-run/dry-haproxy.ts'
import { dryTextMap } from '../../enforcement/dry-run/dry-text-map.ts'
import { KeycloakPlane } from '../../enforcement/dry-run/keycloak-plane.ts'
import { KongPlane } from '../../enforcement/dry-run/kong-plane.ts'
import { receiverPlane } from '../../enforcement/dry-run/receiver-plane.ts'
import type { Recorder } from '../../enforcement/dry-run/recorder.ts'
import { TykPlane } from '../../enforcement/dry-run/tyk-plane.ts'
import type { GatewayAdapter } from '../../enforcement/gateway.ts'
import { awsService } from '../../enforcement/gateways/aws-sdk.ts'
import type { DenyList } from '../../enforcement/gateways/deny-list.ts'
import { DENY_LIST_MAP, denyListOn } from '../build-enforcement.ts'
import { openStore } from '../build-storage.ts'
import type { Config } from '../config/schema.ts'
import { type GatewayEdges, LIVE_EDGES } from '../gateway-edges.ts'
import { gatewaysOf } from '../gateways.ts'
import { denyListMap } from '../ledgers.ts'
import { SharedMap } from '../shared-map.ts'
import { textFolder } from '../text-folder.ts'
import { DryRedis } from './dry-redis.ts'

type GatewayConfig = Config['enforcement']['gateways'][number]

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }

/** The adapters of one entry of the configuration, with recorders at their edges. */
export interface DryGateways {
  readonly adapters: readonly GatewayAdapter[]
  /** Why what stands there is not known, whatever was asked; null where it is. */
  readonly unread: string | null
  close(): Promise<void>
}

/** Opens them; throws `STORE_UNREACHABLE` where the deny list is in a store that cannot be asked. */
export async function dryGateways(
  config: Config,
  gateway: GatewayConfig,
  recorder: Recorder,
  clock: Clock,
): Promise<DryGateways> {
  if (gateway.kind === 'decision') return dryDenyList(config, recorder, clock)
  const edges = dryEdges(gateway.kind, recorder, clock)
  const adapters = gatewaysOf(config, { only: gateway.name }, edges)
  return { adapters, unread: null, close: async () => undefined }
}

/** Edges for the adapters of one gateway that let reads through and record writes. */
export function dryEdges(kind: GatewayConfig['kind'], recorder: Recorder, clock: Clock): GatewayEdges {
  const files: DryFile[] = []
  const plane = planeOf(kind, recorder, () => files[0]?.replaced ?? null)
  const aws = new DryAws(recorder)
  return {
    fetch: dryFetch(recorder, plane, fetch),
    awsService: (service, connection) => aws.service(service, awsService(service, connection)),
    haproxy: (socketPath) => ({
      commands: dryHaproxy(recorder, LIVE_EDGES.haproxy(socketPath).commands),
      replace: async (path, text) => recordReplaced(recorder, path, text),
    }),
    fragmentFile: (name, path) => {
      const file = new DryFile(recorder, LIVE_EDGES.fragmentFile(name, path))
      files.push(file)
      return file
    },
    // Asking makes the folder where there is none.
    events: (folder) =>
      dryTextMap(
        recorder,
        folder,
        existsSync(folder) ? () => textFolder(folder).entries(AbortSignal.abort()) : null,
      ),
    apigeeToken: (apigee) => (recorder.offline ? async () => 'offline' : LIVE_EDGES.apigeeToken(apigee)),
    clock,
  }
}

function planeOf(kind: GatewayConfig['kind'], recorder: Recorder, loaded: () => string | null): HttpPlane {
  switch (kind) {
    case 'kong':
      return new KongPlane(loaded)
    case 'apigee':
      return new ApigeePlane(recorder)
    case 'apisix':
      return new ApisixPlane(recorder)
    case 'tyk':
      return new TykPlane(recorder)
    case 'keycloak':
      return new KeycloakPlane(recorder)
    default:
      return receiverPlane
  }
}

async function dryDenyList(config: Config, recorder: Recorder, clock: Clock): Promise<DryGateways> {
  const { store } = config
  if (store.kind === 'embedded') {
    const unread =
      'the deny list is in a folder that is a running Curfew’s alone: what stands there is not read'
    recorder.note(unread)
    const list = denyListOn(config, dryTextMap(recorder, store.folder, null), clock)
    return { adapters: adaptersOf(list), unread, close: async () => undefined }
  }
  const opened = await openStore(config, silent, async (options): Promise<RedisClient> => {
    const address = options.url === undefined ? (options.clusterNodes?.[0] ?? '') : new URL(options.url).host
    return new DryRedis(recorder, address, recorder.offline ? null : await connectRedis(options))
  })
  const map = await SharedMap.open(opened, DENY_LIST_MAP)
  const adapters = adaptersOf(denyListOn(config, denyListMap(map), clock))
  return { adapters, unread: null, close: () => opened.close() }
}

function adaptersOf(list: DenyList | null): readonly GatewayAdapter[] {
  if (list === null)
    throw new CurfewError('CONFIG_INVALID', 'the configuration has no gateway of kind decision')
  return [list]
}
