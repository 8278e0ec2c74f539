// A wrapper for the Lambda authorizer of an API Gateway REST API: it asks Curfew's deny table before anything
// else, then hands on to your own authorizer. It needs no package but the AWS SDK that the Lambda runtime has.
//
//   import { withDenyList } from './deny-list-authorizer.mjs'
//   export const handler = withDenyList(myAuthorizer)
//
// Environment: CURFEW_DENY_TABLE (required) and CURFEW_FAIL_MODE, `open` (default) or `closed`: what happens to
// callers while the table cannot be read. Claims are read here without verifying them: a forged claim can only
// refuse whoever forged it. Verifying is for your own authorizer, which is asked unless this one refuses.

import { createHash } from 'node:crypto'

const ASK_MS = 1_000

/**
 * @param {(event: object, context: object) => Promise<object>} authorizer your own
 * @param {object} [options]
 * @param {(partition: string, prefix: string) => Promise<object[]>} [options.ask] looks items up; DynamoDB by default
 * @param {() => number} [options.now] epoch ms
 * @param {'open' | 'closed'} [options.failMode]
 * @param {(claims: object) => string | null} [options.subjectId] id of the caller in Curfew; `sub` by default
 */
export function withDenyList(authorizer, options = {}) {
  if (typeof authorizer !== 'function') throw new TypeError('withDenyList needs your authorizer')
  const {
    now = Date.now,
    failMode = process.env.CURFEW_FAIL_MODE ?? 'open',
    subjectId = (c) => c.sub,
  } = options
  if (failMode !== 'open' && failMode !== 'closed') throw new TypeError('CURFEW_FAIL_MODE is open or closed')
  const ask = options.ask ?? dynamoTable(process.env.CURFEW_DENY_TABLE)
  return async (event, context) => {
    let refusedBy
    try {
      refusedBy = await refusal(event, ask, Math.floor(now() / 1_000), subjectId)
    } catch (error) {
      console.error(JSON.stringify({ curfew: 'the deny table cannot be read', error: error?.name }))
      refusedBy = failMode === 'closed' ? 'unavailable' : null
    }
    return refusedBy === null ? authorizer(event, context) : deny(event, refusedBy)
  }
}

/** The id of the decision that refuses the call, or null. */
async function refusal(event, ask, nowSeconds, subjectId) {
  const token = claimsOf(event)
  const apiKey = event.requestContext?.identity?.apiKeyId
  const subject = token === null ? null : text(subjectId(token))
  const keys = []
  const about = (kind, key) => keys.push({ kind, key })
  if (token?.jti != null) about('exact', `token:${hashOf(token.iss, token.jti)}`)
  if (token?.sub != null) about('subject', `subject:${hashOf(token.iss, token.sub)}`)
  if (token?.sub != null && token.iat !== null)
    about('exact', `issue:${hashOf(token.iss, token.sub, token.iat)}`)
  if (typeof apiKey === 'string') about('caller', `credential:${hashOf(apiKey)}`)
  for (const [kind, id] of [
    ['sub', subject],
    ['key', text(apiKey)],
  ]) {
    if (id === null) continue
    about('caller', `principal:${hashOf(kind, id)}`)
    about('holder', `holder:${hashOf(kind, id)}`)
  }
  const found = await Promise.all(
    keys.map(async ({ kind, key }) => {
      const hash = hashOf(key)
      const items = await ask(`deny#${hash[0]}`, `${hash}#`)
      return items.filter((item) => Number(item.exp?.N) > nowSeconds).map((item) => ({ kind, item }))
    }),
  )
  const live = found.flat()
  const spared = ({ item }) =>
    item.before !== undefined && token?.iat != null && token.iat >= Number(item.before.N)
  const direct = live.find((one) => one.kind !== 'holder' && !(one.kind === 'subject' && spared(one)))
  if (direct !== undefined) return text(direct.item.id?.S) ?? 'unnamed'
  // A held caller's token that no entry could name is refused: else a fresh one without `jti` would slip through.
  const held = live.find(({ kind }) => kind !== 'exact')
  const nameless =
    token !== null && (token.malformed || token.exp === null || (token.jti === null && token.iat === null))
  return held !== undefined && nameless ? (text(held.item.id?.S) ?? 'unnamed') : null
}

/** Claims of a bearer token, unverified; null without a token. A claim of the wrong type makes it malformed. */
function claimsOf(event) {
  const header = event.authorizationToken ?? headerOf(event.headers, 'authorization')
  const token = /^(?:bearer +)?(\S+) *$/i.exec(String(header ?? ''))?.[1]
  const parts = token?.split('.') ?? []
  if (parts.length !== 3) return null
  const claim = { iss: null, sub: null, jti: null, iat: null, exp: null, malformed: false }
  try {
    const claims = JSON.parse(Buffer.from(parts[1], 'base64url').toString('utf8'))
    for (const [name, type] of [
      ['iss', 'string'],
      ['sub', 'string'],
      ['jti', 'string'],
      ['iat', 'number'],
      ['exp', 'number'],
    ]) {
      if (typeof claims[name] === type) claim[name] = claims[name]
      else if (claims[name] != null) claim.malformed = true
    }
  } catch {
    claim.malformed = true
  }
  return claim
}

function headerOf(headers, name) {
  const found = Object.entries(headers ?? {}).find(([key]) => key.toLowerCase() === name)
  return found?.[1]
}

/** An explicit deny is cached like any answer: keep the authorizer's result TTL short. */
function deny(event, decision) {
  return {
    principalId: 'curfew',
    policyDocument: {
      Version: '2012-10-17',
      Statement: [{ Action: 'execute-api:Invoke', Effect: 'Deny', Resource: event.methodArn }],
    },
    context: { curfewDecision: decision },
  }
}

function text(value) {
  return typeof value === 'string' && value !== '' ? value : null
}

/** The same as Curfew's own: SHA-256 of the JSON array, in hex. */
function hashOf(...parts) {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

/** Asks DynamoDB with consistent reads, through the SDK of the Lambda runtime. */
export function dynamoTable(table, clientOptions = {}) {
  if (!table) throw new TypeError('CURFEW_DENY_TABLE is not set')
  let opened
  return async (partition, prefix) => {
    opened ??= import('@aws-sdk/client-dynamodb').then((sdk) => ({
      sdk,
      client: new sdk.DynamoDBClient({ maxAttempts: 2, ...clientOptions }),
    }))
    const { sdk, client } = await opened
    const question = new sdk.QueryCommand({
      TableName: table,
      ConsistentRead: true,
      KeyConditionExpression: 'pk = :pk AND begins_with(sk, :sk)',
      ExpressionAttributeValues: { ':pk': { S: partition }, ':sk': { S: prefix } },
    })
    const answer = await client.send(question, { abortSignal: AbortSignal.timeout(ASK_MS) })
    if (!Array.isArray(answer.Items)) throw new Error('no items')
    return answer.Items
  }
}
