import { join } from 'node:path'
import { connectRedis, type RedisClient } from '../../../baseline/stores/redis-client.ts'
import { COMMIT } from '../../../baseline/stores/redis-scripts.ts'
import { DENY_LIST_MAP, denyListOn } from '../../../cli/build-enforcement.ts'
import { openStore } from '../../../cli/build-storage.ts'
import { gatewaysOf } from '../../../cli/gateways.ts'
import { denyListMap } from '../../../cli/ledgers.ts'
import { SharedMap } from '../../../cli/shared-map.ts'
import type { Scope } from '../../../core/decision.ts'
import { HAPROXY_MAPS } from '../../../enforcement/gateways/haproxy-keys.ts'
import { FAKE_APPS, FAKE_CONSUMER_KEYS, FAKE_CREDENTIALS, fakeApigee } from '../../services/apigee-rig.ts'
import { FAKE_POOL } from '../../services/aws-fake-state.ts'
import { FAKE_IP_SETS, FAKE_KEYS, FAKE_POOL_ISSUER, FAKE_SUBS, fakeAws } from '../../services/aws-rig.ts'
import {
  FAKE_AUDIENCE,
  FAKE_EVENT_KEYS,
  FAKE_TRANSMITTER,
  FakeEventReceiver,
} from '../../services/event-receiver-fake.ts'
import { haproxyMissing, startHaproxy } from '../../services/haproxy.ts'
import { logSocket } from '../../services/haproxy-socket-log.ts'
import { FAKE_SECRET } from '../../services/keycloak-fake.ts'
import { FAKE_USERS, fakeKeycloak } from '../../services/keycloak-rig.ts'
import { FakeKong, type FakeKongOptions } from '../../services/kong-fake.ts'
import { redisAvailable, startRedis } from '../../services/redis.ts'
import { apisixCase } from './apisix-case.ts'
import {
  asked,
  bytesOf,
  caller,
  configured,
  dryCase,
  filesOf,
  noting,
  withFile,
  writesIn,
  writesOf,
} from './benches.ts'
import { CLOCK, type DryCase } from './dry-run-contract.ts'
import { tykCase } from './tyk-case.ts'

const CONSUMER = '6f1e2d3c-1111-4111-8111-111111111111'
const CONTROL_PLANE = '9e9e9e9e-2222-4222-8222-222222222222'
const TOKEN = 'canary-kong-token'

const consumer = caller('consumer', CONSUMER)
/** A throttle, a block that makes it pointless, the same block again, and its release. */
const CONSUMER_STORY = [
  asked('dec_a', 'throttle', consumer.whole, consumer.principal),
  asked('dec_b', 'block', consumer.whole, consumer.principal),
  asked('dec_b', 'block', consumer.whole, consumer.principal),
  asked('dec_c', 'release', consumer.whole, consumer.principal),
]

/** Kong with plugins of its owner: a limit on the consumer that a throttle of ours has to change. */
async function kongWith(options: FakeKongOptions): Promise<FakeKong> {
  const kong = new FakeKong(options)
  kong.consumers.add(CONSUMER)
  const config = { minute: 500, policy: 'local', redis: { host: 'r', password: 'canary-redis-password' } }
  kong.plant({
    id: '77777777-1111-4111-8111-111111111111',
    name: 'rate-limiting',
    ...(options.loads === undefined ? { consumer: { id: CONSUMER } } : {}),
    config: options.loads === undefined ? config : { minute: 500, policy: 'local' },
  })
  await kong.start()
  return kong
}

function kongCase(name: string, more: object, options: Partial<FakeKongOptions>): DryCase {
  return dryCase(name, async (folder) => {
    const path = join(folder, 'curfew.json')
    const declared = options.database === 'off'
    const kong = await kongWith({ description: null, ...options, ...(declared ? { loads: path } : {}) })
    const config = configured(
      folder,
      [
        {
          kind: 'kong',
          name: 'kong',
          adminUrl: kong.url.href,
          tokenEnv: 'TOKEN',
          ...more,
          ...(declared ? { declarative: { path } } : {}),
        },
      ],
      { TOKEN },
    )
    // What the stand-in loads from the file is not its own.
    const own = () => [...kong.plugins].filter(([, { tags }]) => !declared || !tags?.includes('curfew'))
    return {
      config,
      live: gatewaysOf(config, {}, noting(kong.wire)),
      asked: CONSUMER_STORY,
      secrets: [TOKEN, 'canary-redis-password'],
      state: async () => bytesOf([own(), filesOf(folder)]),
      writes: () => writesIn(kong.wire),
      close: () => kong.stop(),
    }
  })
}

const apigeeCase = dryCase('Apigee', async (folder) => {
  const apigee = await fakeApigee()
  const accessTokenPath = await withFile(folder, 'token', 'canary-access-token')
  const gateway = {
    kind: 'apigee',
    name: 'apigee',
    url: apigee.url.href,
    organization: 'acme',
    environment: 'prod',
  }
  const config = configured(folder, [{ ...gateway, accessTokenPath, throttles: true, securityActions: true }])
  const app = caller('app', FAKE_APPS[2]!)
  const ip = caller('ip', '203.0.113.9')
  const credential: Scope = { kind: 'credential', credential: FAKE_CREDENTIALS[1]!, principal: app.principal }
  return {
    config,
    live: gatewaysOf(config, {}, noting(apigee.wire)),
    asked: [
      asked('dec_a', 'throttle', app.whole, app.principal),
      asked('dec_b', 'block', app.whole, app.principal),
      asked('dec_c', 'release', app.whole, app.principal),
      asked('dec_d', 'revoke-credential', credential, app.principal),
      asked('dec_e', 'release', credential, app.principal),
      asked('dec_f', 'block', ip.whole, ip.principal),
      asked('dec_g', 'release', ip.whole, ip.principal),
    ],
    secrets: ['canary-access-token', ...FAKE_CONSUMER_KEYS, ...FAKE_CONSUMER_KEYS.map(encodeURIComponent)],
    state: async () => bytesOf(apigee.state.snapshot()),
    writes: () => writesIn(apigee.wire),
    close: () => apigee.stop(),
  }
})

const awsCase = dryCase('AWS', async (folder) => {
  const aws = await fakeAws(2)
  const url = aws.url.href
  const env = {
    ID: 'AKIDEXAMPLECANARY',
    SECRET: 'canary-aws-secret-key',
    MARK: 'canary-mark-key-0123456789-0123456789',
  }
  const config = configured(
    folder,
    [
      {
        kind: 'aws',
        name: 'aws',
        region: 'eu-central-1',
        accessKeyIdEnv: 'ID',
        secretAccessKeyEnv: 'SECRET',
        apiGatewayUrl: url,
        dynamodbUrl: url,
        wafUrl: url,
        cognitoUrl: url,
        requestsPerSecond: 10,
        apiKeys: { markKeyEnv: 'MARK', quarantinePlans: ['quarant1', 'quarant2', 'quarant3'] },
        denyTable: {
          table: 'curfew-deny',
          authorizerCacheSeconds: 30,
          flushStages: ['api1/prod'],
          ipv4Set: `${FAKE_IP_SETS[0].name}/${FAKE_IP_SETS[0].id}`,
          ipv6Set: `${FAKE_IP_SETS[1].name}/${FAKE_IP_SETS[1].id}`,
          userPool: { id: FAKE_POOL, accessTokenSeconds: 3_600 },
        },
      },
    ],
    env,
  )
  const key = caller('key', FAKE_KEYS[0])
  const ip = caller('ip', '203.0.113.9')
  const sub = FAKE_SUBS[0]!
  const subject: Scope = { kind: 'subject', iss: FAKE_POOL_ISSUER, sub, notBefore: null }
  const user = caller('sub', JSON.stringify([FAKE_POOL_ISSUER, sub]))
  const commands: string[] = []
  return {
    config,
    live: gatewaysOf(config, {}, noting(commands)),
    asked: [
      asked('dec_a', 'throttle', key.whole, key.principal),
      asked('dec_b', 'block', key.whole, key.principal),
      asked('dec_c', 'release', key.whole, key.principal),
      asked('dec_d', 'revoke-token', subject, user.principal),
      asked('dec_e', 'release', subject, user.principal),
      asked('dec_f', 'block', ip.whole, ip.principal),
      asked('dec_g', 'release', ip.whole, ip.principal),
    ],
    secrets: Object.values(env),
    state: async () => bytesOf([aws.state.snapshot(), aws.state.flushes]),
    writes: () => commands,
    close: () => aws.stop(),
  }
})

function keycloakCase(users: 'log-out' | 'switch-off'): DryCase {
  return dryCase(`Keycloak (${users})`, async (folder) => {
    const keycloak = await fakeKeycloak()
    const gateway = {
      kind: 'keycloak',
      name: 'idp',
      url: keycloak.url.href,
      realm: 'acme',
      clientId: 'curfew',
      users,
    }
    const config = configured(folder, [{ ...gateway, clientSecretEnv: 'SECRET' }], { SECRET: FAKE_SECRET })
    const subject: Scope = { kind: 'subject', iss: null, sub: FAKE_USERS[0], notBefore: null }
    const { principal } = caller('sub', FAKE_USERS[0])
    return {
      config,
      live: gatewaysOf(config, {}, noting(keycloak.wire)),
      asked: [
        asked('dec_a', 'revoke-token', subject, principal),
        asked('dec_a', 'revoke-token', subject, principal),
        asked('dec_b', 'release', subject, principal),
      ],
      secrets: [FAKE_SECRET, 'canary-keycloak-token'],
      state: async () => bytesOf(keycloak.state.snapshot()),
      writes: () => writesIn(keycloak.wire),
      close: () => keycloak.stop(),
    }
  })
}

const caepCase = dryCase('a receiver of events', async (folder) => {
  const receiver = new FakeEventReceiver()
  await receiver.start()
  const env = { TOKEN: 'canary-receiver-token', KEY: FAKE_EVENT_KEYS.privateKey }
  const gateway = {
    kind: 'caep',
    name: 'idp',
    url: receiver.url.href,
    issuer: FAKE_TRANSMITTER,
    audience: FAKE_AUDIENCE,
  }
  const signing = { signingKeyEnv: 'KEY', alg: 'ES256', keyId: 'key-1' }
  const config = configured(folder, [{ ...gateway, ...signing, tokenEnv: 'TOKEN' }], env)
  const subject: Scope = { kind: 'subject', iss: 'https://login.example', sub: 'al', notBefore: null }
  const { principal } = caller('sub', 'al')
  return {
    config,
    live: gatewaysOf(config, {}, noting(receiver.wire)),
    asked: [
      asked('dec_a', 'revoke-token', subject, principal),
      asked('dec_a', 'revoke-token', subject, principal),
      asked('dec_b', 'release', subject, principal),
    ],
    secrets: [env.TOKEN, ...FAKE_EVENT_KEYS.privateKey.split('\n').filter((line) => line.length > 40)],
    state: async () => bytesOf([receiver.state.snapshot(), filesOf(folder)]),
    writes: () => writesIn(receiver.wire),
    close: () => receiver.stop(),
  }
})

const haproxyCase = dryCase(
  'HAProxy',
  async (folder) => {
    const haproxy = await startHaproxy({ logPort: 9, upstreamPort: 9 })
    const socket = await logSocket(join(folder, 'logged.sock'), haproxy.socketPath)
    const { mapFolder } = haproxy
    const config = configured(folder, [{ kind: 'haproxy', name: 'edge', sockets: [socket.path], mapFolder }])
    const { principal, whole } = caller('sub', JSON.stringify(['https://i.test', 'al']))
    const subject: Scope = { kind: 'subject', iss: 'https://i.test', sub: 'al', notBefore: null }
    return {
      config,
      live: gatewaysOf(config, {}, noting(socket.commands)),
      asked: [
        asked('dec_a', 'throttle', whole, principal),
        asked('dec_b', 'block', whole, principal),
        asked('dec_b', 'block', whole, principal),
        asked('dec_b', 'revoke-token', subject, principal),
        asked('dec_c', 'release', whole, principal),
        asked('dec_d', 'release', subject, principal),
      ],
      secrets: [haproxy.secret],
      state: async () => {
        const maps = HAPROXY_MAPS.map((map) => haproxy.command(`show map ${mapFolder}/${map}.map`))
        return bytesOf([await Promise.all(maps), filesOf(mapFolder)])
      },
      writes: () => socket.commands.filter((line) => !/^(show|get) /.test(line)),
      // Files are written side by side.
      inOrder: (line) => !line.startsWith('write '),
      close: async () => {
        await socket.close()
        await haproxy.stop()
      },
    }
  },
  haproxyMissing,
)

const PASSWORD = 'canary-redis-password'

const denyListCase = dryCase(
  'the deny list in Redis',
  async (folder) => {
    const redis = await startRedis({ password: PASSWORD })
    const url = `redis://127.0.0.1:${redis.port}`
    const config = configured(
      folder,
      [{ kind: 'decision', name: 'deny' }],
      { PASSWORD, IDENTITY: 'canary-identity-0123456789-0123456789' },
      {
        identityKeyEnv: 'IDENTITY',
        store: { kind: 'redis', url, passwordEnv: 'PASSWORD' },
        decisionEndpoint: { addressHeader: 'x-real-ip' },
      },
    )
    const commands: string[] = []
    const silent = { info: () => undefined, warn: () => undefined, error: () => undefined }
    const store = await openStore(config, silent, async (options) => {
      const client = await connectRedis(options)
      return notingRedis(client, (words) => commands.push(words.map(wordOf).join(' ')))
    })
    const list = denyListOn(config, denyListMap(await SharedMap.open(store, DENY_LIST_MAP)), CLOCK)
    const reader = await connectRedis({ url, password: PASSWORD })
    const { principal, whole } = caller('sub', 'al')
    const network: Scope = { kind: 'network', network: '203.0.113.0', principal }
    return {
      config,
      live: list === null ? [] : [list],
      asked: [
        asked('dec_a', 'block', network, principal),
        asked('dec_b', 'block', whole, principal),
        asked('dec_b', 'block', whole, principal),
        asked('dec_c', 'release', whole, principal),
      ],
      secrets: [PASSWORD],
      state: async () => {
        const keys = (await reader.call('keys', ['*'])) as readonly Buffer[]
        const names = keys.map(String).sort()
        return bytesOf([names, await Promise.all(names.map((name) => reader.call('dump', [name])))])
      },
      writes: () => commands,
      words: (result) =>
        writesOf(result).map((step) => (step.kind === 'redis' ? step.words.map(wordOf).join(' ') : '')),
      close: async () => {
        await reader.close()
        await store.close()
        await redis.stop()
      },
    }
  },
  (await redisAvailable()) ? null : 'redis-server is not installed',
)

/** A client that notes commits, beside those scripts that a running Curfew has run before. */
function notingRedis(client: RedisClient, note: (words: readonly (string | number)[]) => void): RedisClient {
  return {
    address: client.address,
    call: (command, args) => client.call(command, args),
    callEach: (command, args) => client.callEach(command, args),
    subscribe: (channel, listener) => client.subscribe(channel, listener),
    close: () => client.close(),
    run: (script, keys, args) => {
      const words = args(1).map((word) => (typeof word === 'number' ? word : Buffer.from(word).toString()))
      if (script === COMMIT) note(['EVALSHA', script.sha1, keys.length, ...keys, ...words])
      return client.run(script, keys, args)
    },
  }
}

/** A word without the number of calls in a token, which only the Curfew that runs knows. */
function wordOf(word: string | number): string {
  return String(word).replace(/^(\d+ [0-9a-f]{16}) (\d+|N)$/, '$1 N')
}

/** Every kind of gateway. */
export const DRY_CASES: readonly DryCase[] = [
  kongCase('Kong', {}, {}),
  kongCase('Konnect', { controlPlane: CONTROL_PLANE }, { controlPlane: CONTROL_PLANE }),
  kongCase('a declarative file of Kong', {}, { database: 'off' }),
  apigeeCase,
  apisixCase,
  tykCase,
  awsCase,
  keycloakCase('log-out'),
  keycloakCase('switch-off'),
  caepCase,
  haproxyCase,
  denyListCase,
]
