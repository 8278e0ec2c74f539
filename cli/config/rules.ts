import { secretsEqual } from '../../core/hash.ts'
import { DAY_MS } from '../../core/time.ts'
import { isLoopback, listenAddress } from './listen-address.ts'
import type { Problem, Reporter } from './problem.ts'
import { checkAdminUrls } from './rules-admin-url.ts'
import { checkIdentity } from './rules-identity.ts'
import { checkPrincipals } from './rules-principals.ts'
import type { Config } from './schema.ts'

/** No planned work lasts longer without being planned again. */
const MAX_WINDOW_MS = 90 * DAY_MS

interface Findings {
  readonly problems: Problem[]
  readonly warnings: Problem[]
}

/** Rules that look at more than one setting. `lineOf` gives the line of a setting by its path. */
export function crossChecks(config: Config, lineOf: (path: string) => number): Findings {
  const findings: Findings = { problems: [], warnings: [] }
  const report: Reporter = {
    no: (path, message) => findings.problems.push({ line: lineOf(path), path, message }),
    beware: (path, message) => findings.warnings.push({ line: lineOf(path), path, message }),
  }
  checkStorage(config, report)
  checkSources(config, report)
  checkNames(config, report)
  checkListeners(config, report)
  checkEnforcement(config, report)
  checkAdmin(config, report)
  checkPrivacy(config, report)
  checkMaintenance(config, report)
  checkPrincipals(config, report)
  return findings
}

function checkMaintenance({ maintenance }: Config, report: Reporter): void {
  for (const [i, window] of maintenance.entries()) {
    const path = `maintenance[${i}]`
    if ((window.entity === undefined) === (window.group === undefined))
      report.no(path, `\`${path}\` needs exactly one of \`entity\` and \`group\``)
    const length = Date.parse(window.to) - Date.parse(window.from)
    if (Number.isNaN(length)) report.no(path, `\`${path}\` has a time that no calendar knows`)
    else if (length <= 0) report.no(path, `\`${path}\` ends before it begins`)
    else if (length > MAX_WINDOW_MS) report.no(path, `\`${path}\` is longer than 90 days`)
  }
}

function checkStorage({ store, log, identityKey, deadLetters }: Config, report: Reporter): void {
  if (store.kind === 'redis') {
    if ((store.url === undefined) === (store.nodes === undefined)) {
      report.no('store', 'a redis store needs `url` or `nodes`, and not both')
    }
    if (identityKey === undefined) {
      report.no(
        'store',
        'a redis store needs `identityKeyEnv` or `identityKeyFile`: principals are stored under keyed hashes, and every worker must use the same key',
      )
    }
    if (log.kind === 'embedded') {
      report.beware(
        'log',
        'the journal of an embedded log lies on this machine, so one process only may use this store; use a kafka log for more',
      )
    }
  }
  if (log.kind === 'kafka' && store.kind === 'embedded') {
    report.beware(
      'store',
      'an embedded store serves one process: `curfew run` will refuse more than one worker; use a redis store for more',
    )
  }
  if (deadLetters.kind === 'kafka' && log.kind !== 'kafka') {
    report.no('deadLetters', 'dead letters of kind kafka use the connection of `log`, which is not kafka')
  }
}

function checkSources({ sources, log, coverage }: Config, report: Reporter): void {
  if (3_600 % coverage.slotSeconds !== 0) {
    report.no('coverage.slotSeconds', 'an hour is no multiple of `coverage.slotSeconds`')
  }
  if (sources.length === 0) report.beware('sources', 'no source is configured: there is nothing to watch')
  if (sources.filter((source) => source.kind === 'file' && source.stdin).length > 1) {
    report.no('sources', 'two sources read standard input')
  }
  for (const [i, source] of sources.entries()) {
    const path = `sources[${i}]`
    if (source.kind === 'file') {
      if ((source.paths === undefined) === !source.stdin) {
        report.no(path, `\`${path}\` needs \`paths\` or \`stdin: true\`, and not both`)
      }
      if (source.follow && source.paths === undefined) {
        report.no(`${path}.follow`, 'only files that `paths` names can be followed')
      }
    }
    if (source.kind === 'kafka' && source.brokers === undefined) {
      if (log.kind !== 'kafka') report.no(path, `\`${path}\` needs \`brokers\`: \`log\` is not kafka`)
      if (source.sasl !== undefined || source.tls !== undefined) {
        report.no(path, `\`${path}\` has its own \`sasl\` or \`tls\` and so needs its own \`brokers\``)
      }
    }
    if (source.kind === 'kafka' && log.kind === 'kafka' && source.topics.includes(log.topic)) {
      report.no(`${path}.topics`, `\`${path}\` reads the internal topic of \`log\``)
    }
  }
}

function checkNames(config: Config, report: Reporter): void {
  const lists = [
    ['sources', config.sources],
    ['enforcement.gateways', config.enforcement.gateways],
    ['alerts.channels', config.alerts.channels],
    ['admin.tokens', config.admin.tokens],
  ] as const
  for (const [path, entries] of lists) {
    const seen = new Set<string>()
    for (const [i, { name }] of entries.entries()) {
      if (seen.has(name)) report.no(`${path}[${i}].name`, `\`${path}\` has two entries named "${name}"`)
      seen.add(name)
    }
  }
}

function checkListeners(config: Config, report: Reporter): void {
  const { sources, admin, decisionEndpoint } = config
  const users = new Map<number, { readonly path: string; readonly what: string; readonly text: string }>()
  const claim = (path: string, text: string, what: string) => {
    const address = listenAddress(text)
    if (address === null) {
      report.no(path, `\`${path}\` is "${text}", allowed are ports from 0 to 65535`)
      return
    }
    if (!isLoopback(address.host)) {
      report.beware(
        path,
        `\`${path}\` can be reached from other machines, unencrypted: put a TLS proxy in front`,
      )
    }
    const other = users.get(address.port)
    if (address.port === 0 || other === undefined) users.set(address.port, { path, what, text })
    else if (other.what !== what || other.text !== text) {
      report.no(path, `\`${path}\` uses port ${address.port}, and so does \`${other.path}\``)
    }
  }
  claim('admin.listen', admin.listen, 'admin')
  if (decisionEndpoint !== undefined) claim('decisionEndpoint.listen', decisionEndpoint.listen, 'decisions')
  const grpc = decisionEndpoint?.grpc
  if (grpc !== undefined) claim('decisionEndpoint.grpc.listen', grpc.listen, 'decisions over gRPC')
  if (grpc !== undefined && grpc.token === undefined && !isLoopback(listenAddress(grpc.listen)?.host ?? '')) {
    report.no(
      'decisionEndpoint.grpc',
      '`decisionEndpoint.grpc` needs `tokenEnv` or `tokenFile`: other machines can reach it',
    )
  }
  const pushed = sources.flatMap((source, i) =>
    source.kind === 'http' ? [{ source, path: `sources[${i}]` }] : [],
  )
  for (const [i, { source, path }] of pushed.entries()) {
    claim(`${path}.listen`, source.listen, 'ingest')
    const twin = pushed
      .slice(0, i)
      .find((other) => secretsEqual(other.source.token.reveal(), source.token.reveal()))
    if (twin !== undefined) report.no(`${path}.token`, `\`${path}\` and \`${twin.path}\` have the same token`)
  }
}

function checkEnforcement(config: Config, report: Reporter): void {
  const { enforcement, decisionEndpoint, modes, defaultMode } = config
  const decisionLists = enforcement.gateways.filter((gateway) => gateway.kind === 'decision')
  if (decisionLists.length > 1) report.no('enforcement.gateways', 'there can be one gateway of kind decision')
  if (decisionEndpoint !== undefined && decisionLists.length === 0) {
    report.no('decisionEndpoint', 'the decision endpoint needs a gateway of kind decision: its deny list')
  }
  if (decisionEndpoint === undefined && decisionLists.length > 0) {
    report.beware('enforcement.gateways', 'nothing asks the deny list: `decisionEndpoint` is not configured')
  }
  if (decisionEndpoint?.keys.length === 0) {
    const where = decisionEndpoint.grpc?.verifiedClaims === undefined ? '' : ' for those that ask over HTTP'
    report.beware(
      'decisionEndpoint.keys',
      `there are none, so tokens are not verified: callers known by their token are not throttled by it${where}, only refused`,
    )
  }
  if (decisionEndpoint?.trustHeaders && !isLoopback(listenAddress(decisionEndpoint.listen)?.host ?? '')) {
    report.beware(
      'decisionEndpoint.trustHeaders',
      'identity headers are believed from whoever reaches the decision endpoint',
    )
  }
  const acts = defaultMode !== 'observe' || modes.some((rule) => rule.mode !== 'observe')
  if (acts && enforcement.gateways.length === 0) {
    report.beware(
      'enforcement.gateways',
      'a mode other than observe is set, but there is no gateway to act at',
    )
  }
  checkAws(config, report)
  checkApigee(config, report)
  checkIdentity(config, report)
  checkAdminUrls(config, report)
  for (const [i, gateway] of enforcement.gateways.entries()) {
    if (gateway.kind !== 'kong') continue
    const path = `enforcement.gateways[${i}]`
    if (gateway.controlPlane !== undefined && gateway.token === undefined)
      report.no(path, `\`${path}\` needs a \`token\`: Konnect answers nobody without one`)
    if (gateway.controlPlane !== undefined && gateway.declarative !== undefined)
      report.no(path, `\`${path}\` takes \`controlPlane\` or \`declarative\`, not both`)
    if (gateway.controlPlane !== undefined && gateway.workspace !== undefined)
      report.no(path, `\`${path}\` takes \`controlPlane\` or \`workspace\`, not both`)
    if (gateway.token === undefined) continue
    const address = new URL(gateway.adminUrl)
    if (address.protocol === 'http:' && !isLoopback(address.hostname)) {
      report.beware(`enforcement.gateways[${i}].adminUrl`, 'the admin token travels unencrypted')
    }
  }
  if (config.detection.revokeSurprise < config.detection.throttleSurprise) {
    report.no('detection.revokeSurprise', '`detection.revokeSurprise` is below `detection.throttleSurprise`')
  }
}

function checkAws({ enforcement }: Config, report: Reporter): void {
  for (const [i, gateway] of enforcement.gateways.entries()) {
    if (gateway.kind !== 'aws') continue
    const path = `enforcement.gateways[${i}]`
    if (gateway.apiKeys === undefined && gateway.denyTable === undefined)
      report.no(path, `\`${path}\` needs \`apiKeys\` or \`denyTable\`: there is nothing to act on`)
    if ((gateway.accessKeyId === undefined) !== (gateway.secretAccessKey === undefined))
      report.no(path, `\`${path}\` needs both of \`accessKeyId\` and \`secretAccessKey\`, or none`)
    if (gateway.sessionToken !== undefined && gateway.accessKeyId === undefined)
      report.no(path, `\`${path}\` has a \`sessionToken\` without \`accessKeyId\``)
    for (const key of ['apiGatewayUrl', 'cognitoUrl', 'dynamodbUrl', 'wafUrl'] as const) {
      const address = gateway[key] === undefined ? null : new URL(gateway[key])
      if (address?.protocol === 'http:' && !isLoopback(address.hostname))
        report.beware(`${path}.${key}`, 'calls to AWS travel unencrypted')
    }
    for (const own of ['deny', 'waf', 'cognito'].map((part) => `${gateway.name}-${part}`))
      if (enforcement.gateways.some(({ name }) => name === own))
        report.no(`${path}.name`, `a part of \`${path}\` would be named "${own}", like another gateway`)
  }
}

function checkApigee({ enforcement }: Config, report: Reporter): void {
  for (const [i, gateway] of enforcement.gateways.entries()) {
    if (gateway.kind !== 'apigee') continue
    const path = `enforcement.gateways[${i}]`
    if (gateway.accessTokenPath !== undefined && gateway.credentialsPath !== undefined)
      report.no(path, `\`${path}\` takes \`accessTokenPath\` or \`credentialsPath\`, not both`)
    const address = new URL(gateway.url)
    if (address.protocol === 'http:' && !isLoopback(address.hostname))
      report.beware(`${path}.url`, 'the access token travels unencrypted')
    const own = `${gateway.name}-actions`
    if (enforcement.gateways.some(({ name }) => name === own))
      report.no(`${path}.name`, `a part of \`${path}\` would be named "${own}", like another gateway`)
  }
}

function checkPrivacy({ privacy, identityKey }: Config, report: Reporter): void {
  if (privacy.emails === 'hash' && identityKey === undefined) {
    report.no(
      'privacy.emails',
      'hashed addresses need `identityKeyEnv` or `identityKeyFile`: without a key of your own anybody can try addresses out',
    )
  }
}

function checkAdmin({ admin }: Config, report: Reporter): void {
  const hashes = new Set<string>()
  for (const [i, token] of admin.tokens.entries()) {
    const path = `admin.tokens[${i}]`
    if ((token.token === undefined) === (token.sha256 === undefined)) {
      report.no(path, `\`${path}\` needs exactly one of \`tokenEnv\`, \`tokenFile\` and \`sha256\``)
    }
    if (token.sha256 !== undefined && hashes.has(token.sha256)) report.no(path, `\`${path}\` repeats a token`)
    if (token.sha256 !== undefined) hashes.add(token.sha256)
  }
  if (admin.tokens.length === 0)
    report.beware('admin.tokens', 'nobody can sign in: no admin token is configured')
}
