import { gatewaysOf } from '../../../cli/gateways.ts'
import { FAKE_ADMIN_KEY, FakeApisix } from '../../services/apisix-fake.ts'
import { asked, bytesOf, caller, configured, dryCase, noting, writesIn } from './benches.ts'

/** APISIX with a consumer that has a limit of its own, counted in a Redis, and a credential. */
export const apisixCase = dryCase('APISIX', async (folder) => {
  const apisix = new FakeApisix()
  const redis = { policy: 'redis', redis_host: 'redis.test', redis_password: 'canary-redis-password' }
  apisix.plant('consumers', 'orders', {
    username: 'orders',
    plugins: {
      'key-auth': { key: 'canary-consumer-key' },
      'limit-count': { count: 500, time_window: 60, ...redis },
    },
  })
  await apisix.start()
  const gateway = { kind: 'apisix', name: 'edge', adminUrl: apisix.url.href, adminKeyEnv: 'KEY' }
  const config = configured(folder, [gateway], { KEY: FAKE_ADMIN_KEY })
  const { principal, whole } = caller('consumer', 'orders')
  return {
    config,
    live: gatewaysOf(config, {}, noting(apisix.wire)),
    asked: [
      asked('dec_a', 'throttle', whole, principal),
      asked('dec_b', 'block', whole, principal),
      asked('dec_b', 'block', whole, principal),
      asked('dec_c', 'release', whole, principal),
    ],
    secrets: [FAKE_ADMIN_KEY, 'canary-redis-password', 'canary-consumer-key'],
    state: async () => bytesOf([...apisix.objects]),
    writes: () => writesIn(apisix.wire),
    close: () => apisix.stop(),
  }
})
