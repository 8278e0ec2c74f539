import { Ajv } from 'ajv'

/**
 * What APISIX takes as a consumer, as JSON Schema. Derived from apache/apisix at commit f519a0f04ccf (2026-08-20):
 * `apisix/schema_def.lua` (`consumer`, `labels_def`, `id_schema`, `plugin_injected_schema`),
 * `apisix/plugins/limit-count/init.lua`, `apisix/plugins/consumer-restriction.lua` and `apisix/admin/resource.lua`
 * (`check_forbidden_properties`); for `isOld` at the tag 3.2.0. Plugins that enforcement does not touch are checked by
 * their name only.
 */

const id = {
  anyOf: [
    { type: 'string', minLength: 1, maxLength: 64, pattern: '^[a-zA-Z0-9-_.]+$' },
    { type: 'integer', minimum: 1 },
  ],
}

const meta = {
  type: 'object',
  properties: {
    disable: { type: 'boolean' },
    error_response: { type: ['string', 'object'] },
    priority: { type: 'integer' },
    filter: { type: 'array' },
    pre_function: { type: 'string' },
  },
  additionalProperties: false,
}

const amount = { oneOf: [{ type: 'integer', exclusiveMinimum: 0 }, { type: 'string' }] }

const limitCount = {
  type: 'object',
  properties: {
    _meta: meta,
    count: amount,
    time_window: amount,
    window_type: { type: 'string', enum: ['fixed', 'sliding'] },
    rules: {
      type: 'array',
      items: {
        type: 'object',
        properties: { count: amount, time_window: amount, key: { type: 'string' } },
        required: ['count', 'time_window', 'key'],
      },
    },
    group: { type: 'string' },
    key: { type: 'string' },
    key_type: { type: 'string', enum: ['var', 'var_combination', 'constant'] },
    rejected_code: { type: 'integer', minimum: 200, maximum: 599 },
    rejected_msg: { type: 'string', minLength: 1 },
    policy: { type: 'string', enum: ['local', 'redis', 'redis-cluster', 'redis-sentinel'] },
    allow_degradation: { type: 'boolean' },
    show_limit_quota_header: { type: 'boolean' },
    sync_interval: { type: 'number' },
  },
  oneOf: [{ required: ['count', 'time_window'] }, { required: ['rules'] }],
  if: { properties: { policy: { const: 'redis' } }, required: ['policy'] },
  // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema
  then: { properties: { redis_host: { type: 'string', minLength: 2 } }, required: ['redis_host'] },
}

const names = { type: 'array', minItems: 1, items: { type: 'string' } }

const consumerRestriction = {
  type: 'object',
  properties: {
    _meta: meta,
    type: { type: 'string', enum: ['consumer_name', 'service_id', 'route_id', 'consumer_group_id'] },
    blacklist: names,
    whitelist: names,
    allowed_by_methods: { type: 'array', items: { type: 'object' } },
    rejected_code: { type: 'integer', minimum: 200 },
    rejected_msg: { type: 'string' },
  },
  anyOf: [{ required: ['blacklist'] }, { required: ['whitelist'] }, { required: ['allowed_by_methods'] }],
}

/** What older releases write into a plugin that does not say otherwise; newer ones leave it as it came. */
export const APISIX_DEFAULTS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'limit-count': {
    key: 'remote_addr',
    key_type: 'var',
    rejected_code: 503,
    policy: 'local',
    allow_degradation: false,
    show_limit_quota_header: true,
  },
  'consumer-restriction': { type: 'consumer_name', rejected_code: 403 },
}

const plugins = {
  type: 'object',
  properties: {
    'limit-count': limitCount,
    'consumer-restriction': consumerRestriction,
    'key-auth': { type: 'object' },
    'jwt-auth': { type: 'object' },
    'proxy-rewrite': { type: 'object' },
  },
  additionalProperties: false,
}

const consumer = (isOld: boolean) => ({
  type: 'object',
  properties: {
    username: {
      type: 'string',
      minLength: 1,
      maxLength: isOld ? 100 : 256,
      pattern: isOld ? '^[a-zA-Z0-9_]+$' : '^[a-zA-Z0-9_\\-]+$',
    },
    desc: { type: 'string', maxLength: 256 },
    labels: {
      type: 'object',
      additionalProperties: { type: 'string', pattern: '^\\S+$', minLength: 1, maxLength: isOld ? 64 : 256 },
    },
    group_id: id,
    plugins,
  },
  required: ['username'],
  // `create_time` and `update_time` are in the schema, but forbidden in what a client writes.
  additionalProperties: false,
})

const ajv = new Ajv({ allowUnionTypes: true, strict: false })
const isConsumer = { old: ajv.compile(consumer(true)), now: ajv.compile(consumer(false)) }
const arePlugins = ajv.compile(plugins)

/** What is wrong with a consumer that is written; null for nothing. */
export function consumerFault(body: unknown, isOld = false): string | null {
  const matches = isConsumer[isOld ? 'old' : 'now']
  return matches(body) ? null : ajv.errorsText(matches.errors)
}

/** The same of the plugins of a route, a service or a group. */
export function pluginsFault(value: unknown): string | null {
  return arePlugins(value) ? null : ajv.errorsText(arePlugins.errors)
}
