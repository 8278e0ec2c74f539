import { readFile } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import type { Action, Decision, Limit, Wider } from '../../core/decision.ts'
import { CurfewError } from '../../core/errors.ts'
import { RULE_ID } from '../../enforcement/gateway.ts'
import { parsePrincipal, parseScope } from '../../enforcement/gateways/deny-list-store.ts'
import { cut, shown } from '../config/problem.ts'
import { type AskedDecision, blank } from './asked-decision.ts'

const MAX_BYTES = 1_048_576
/** The admin API and `curfew explain --json` wrap a decision in what is known about it. */
const MAX_WRAPPINGS = 3
const ACTIONS: readonly Action[] = ['throttle', 'block', 'revoke-token', 'revoke-credential', 'release']

type Fields = Readonly<Record<string, unknown>>

/** A decision as Curfew writes it, from a file or `-` for standard input. Throws `USAGE` naming field and value. */
export async function decisionFrom(path: string, stdin: Readable, now: number): Promise<AskedDecision> {
  let parsed: unknown
  try {
    parsed = JSON.parse(path === '-' ? await textOf(stdin) : await textOf([await readFile(path)]))
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    const why = code ?? (cause instanceof SyntaxError ? 'not one JSON object' : 'too large')
    throw new CurfewError('USAGE', `--decision ${cut(path)} is no decision: ${why}`, { cause })
  }
  const decision = decisionIn(unwrapped(parsed), now)
  const who = `the decision ${shown(decision.id)}`
  return { decision, who, knowsHolder: true, knowsGateway: decision.gateway.id !== '' }
}

async function textOf(chunks: AsyncIterable<Buffer | string> | Iterable<Buffer>): Promise<string> {
  const parts: Buffer[] = []
  let bytes = 0
  for await (const chunk of chunks) {
    const part = Buffer.from(chunk)
    bytes += part.length
    if (bytes > MAX_BYTES) throw new RangeError(`longer than ${MAX_BYTES} bytes`)
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

function unwrapped(value: unknown): Fields {
  let inner = value
  for (let depth = 0; depth < MAX_WRAPPINGS && isFields(inner) && isFields(inner.decision); depth++)
    inner = inner.decision
  if (!isFields(inner))
    throw new CurfewError('USAGE', `--decision holds ${shown(inner)}, allowed is an object`)
  return inner
}

function decisionIn(fields: Fields, now: number): Decision {
  const { id, holdSeconds, tokenExp = null, gateway } = fields
  if (typeof id !== 'string' || !RULE_ID.test(id))
    throw wrong('id', id, '1 to 64 letters, digits, underscores or hyphens')
  const action = actionOf(fields.action, 'action')
  const scope = parseScope(fields.scope)
  if (scope === null) throw wrong('scope', fields.scope, 'a scope of a decision')
  const principal = parsePrincipal(fields.principal)
  if (principal === null) throw wrong('principal', fields.principal, 'a principal with kind, id and label')
  if (typeof holdSeconds !== 'number' || !(holdSeconds >= 0))
    throw wrong('holdSeconds', holdSeconds, 'a number from 0')
  if (tokenExp !== null && typeof tokenExp !== 'number')
    throw wrong('tokenExp', tokenExp, 'epoch seconds or null')
  const limit = limitOf(fields.limit ?? null, 'limit')
  if ((action === 'throttle') !== (limit !== null))
    throw wrong('limit', fields.limit, 'a limit with a throttle, null with any other action')
  const wider = widerOf(fields.wider)
  return {
    ...blank(now),
    id,
    action,
    scope,
    principal,
    holdSeconds,
    limit,
    tokenExp,
    gateway: { kind: '', id: isFields(gateway) && typeof gateway.id === 'string' ? gateway.id : '' },
    ...(wider === null ? {} : { wider }),
  }
}

function actionOf(value: unknown, field: string): Action {
  const action = ACTIONS.find((one) => one === value)
  if (action === undefined) throw wrong(field, value, ACTIONS.join(', '))
  return action
}

function limitOf(value: unknown, field: string): Limit | null {
  if (value === null) return null
  const { requests, windowSeconds } = isFields(value) ? value : {}
  const positive = (number: unknown): number is number => typeof number === 'number' && number > 0
  if (!positive(requests) || !positive(windowSeconds))
    throw wrong(field, value, 'requests and windowSeconds above 0')
  return { requests, windowSeconds }
}

function widerOf(value: unknown): Wider | null {
  if (value === undefined) return null
  const fields = isFields(value) ? value : {}
  const scope = parseScope(fields.scope)
  const action = actionOf(fields.action, 'wider.action')
  if (scope === null) throw wrong('wider.scope', fields.scope, 'a scope of a decision')
  if (action === 'release') throw wrong('wider.action', action, 'anything but a release')
  return { action, scope, limit: limitOf(fields.limit ?? null, 'wider.limit') }
}

function wrong(field: string, value: unknown, allowed: string): CurfewError {
  const text = typeof value === 'string' || value === undefined ? value : JSON.stringify(value)
  return new CurfewError('USAGE', `--decision: ${field} is ${shown(text)}, allowed is ${allowed}`)
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
