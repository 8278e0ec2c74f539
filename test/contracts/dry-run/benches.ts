import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { serialize } from 'node:v8'
import { loadConfig, problemLines } from '../../../cli/config/load.ts'
import type { Config } from '../../../cli/config/schema.ts'
import { secretReader } from '../../../cli/config/secret-reader.ts'
import type { AskedDecision } from '../../../cli/dry-run/asked-decision.ts'
import type { DryResult } from '../../../cli/dry-run/dry-run.ts'
import { type GatewayEdges, LIVE_EDGES } from '../../../cli/gateway-edges.ts'
import type { Action, Decision, Scope } from '../../../core/decision.ts'
import type { Principal } from '../../../core/event.ts'
import type { DryStep } from '../../../enforcement/dry-run/recorder.ts'
import { awsService } from '../../../enforcement/gateways/aws-sdk.ts'
import { CLOCK, type DryBench, type DryCase } from './dry-run-contract.ts'

/** A decision as the engine makes it. */
export function asked(id: string, action: Action, scope: Scope, principal: Principal): AskedDecision {
  const decision: Decision = {
    id,
    time: new Date(CLOCK.now()).toISOString(),
    tenant: 'default',
    entity: { type: 'principal', id: '' },
    action,
    scope,
    mode: 'enforce',
    holdSeconds: 3_600,
    limit: action === 'throttle' ? { requests: 10, windowSeconds: 60 } : null,
    incident: '',
    reason: '',
    principal,
    gateway: { kind: '', id: '' },
    tokenExp: null,
    evidenceAt: CLOCK.now(),
  }
  return { decision, who: id, knowsHolder: true, knowsGateway: false }
}

/** The caller as a whole. */
export function caller(kind: Principal['kind'], id: string) {
  const principal: Principal = { kind, id, label: id, verified: kind !== 'ip' }
  const whole: Scope = { kind: 'principal', principal }
  return { principal, whole }
}

/** A configuration with these gateways; secrets come from `env`. */
export function configured(
  folder: string,
  gateways: readonly object[],
  env: Readonly<Record<string, string>> = {},
  more: object = {},
): Config {
  const store = { kind: 'embedded', folder: join(folder, 'state') }
  const all = { store, ...more, enforcement: { folder: join(folder, 'enforcement'), gateways } }
  const loaded = loadConfig(JSON.stringify(all), secretReader(env, folder))
  if (!loaded.ok) throw new Error(problemLines('test', loaded.problems).join('\n'))
  return loaded.config
}

/** A bench before it is complete. */
type Parts = Omit<DryBench, 'words' | 'close'> & {
  words?(result: DryResult): readonly string[]
  close?(): Promise<void>
}

/** A case with a folder of its own, which goes with it. */
export function dryCase(
  name: string,
  open: (folder: string) => Promise<Parts>,
  skip: string | null = null,
): DryCase {
  return {
    name,
    skip,
    open: async () => {
      const folder = await mkdtemp(join(tmpdir(), 'curfew-dry-'))
      const parts = await open(folder)
      return {
        words: (result) => writesOf(result).map(stepWords),
        ...parts,
        close: async () => {
          await parts.close?.()
          await rm(folder, { recursive: true, force: true })
        },
      }
    },
  }
}

/** The steps that write. */
export function writesOf({ steps }: DryResult): readonly DryStep[] {
  return steps.filter(({ effect }) => effect === 'write')
}

/** A step in the words of `ControlPlaneServer.wire`. Ids that a server makes up are all the same. */
export function stepWords(step: DryStep): string {
  if (step.kind === 'aws') return `${step.service} ${step.operation} ${JSON.stringify(step.input)}`
  if (step.kind === 'haproxy') return step.command
  if (step.kind === 'redis') return step.words.join(' ')
  if (step.kind === 'file') return `write ${step.path} ${step.text}`
  if (step.kind === 'entry') return `${step.text === null ? 'delete' : 'set'} ${step.field}`
  const { pathname, search } = new URL(step.url)
  return sameWords(`${step.method} ${pathname}${search} ${step.body ?? ''}`)
}

/** Of everything that was noted or came over the wire, what is no read. */
export function writesIn(lines: readonly string[]): readonly string[] {
  const isRead = (line: string) => /^(GET |POST \/realms\/[^/]+\/protocol\/openid-connect\/token )/.test(line)
  return lines.filter((line) => !isRead(line)).map(sameWords)
}

/** What differs although the same is meant: ids of new groups, signatures, and secrets, which are hidden. */
function sameWords(line: string): string {
  return line
    .replace(/\/groups\/[^/ ]+/, '/groups/ID')
    .replace(/((?:redis_|")password":)"[^"]*"/g, '$1"***"')
    .replace(/("key-auth":)(?:\{[^{}]*\}|"\*\*\*")/g, '$1"***"')
    .replace(/(\/keys\/)[^/? ]+/, '$1KEY')
    .replace(/(eyJ[\w-]+\.[\w-]+)\.[\w*-]+$/, '$1')
}

/** All of a value, byte for byte. */
export function bytesOf(value: unknown): string {
  return serialize(value).toString('hex')
}

/** Every file below a folder with what is in it. */
export function filesOf(folder: string): readonly (readonly [string, string])[] {
  if (!existsSync(folder)) return []
  const names = readdirSync(folder, { recursive: true, withFileTypes: true })
  return names
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((path) => [path, readFileSync(path, 'utf8')] as const)
}

/** A folder with a text file in it. */
export async function withFile(folder: string, name: string, text: string): Promise<string> {
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, name), text)
  return join(folder, name)
}

/** Edges of a Curfew that acts, which note what does not go over HTTP beside what does. */
export function noting(lines: string[]): GatewayEdges {
  return {
    ...LIVE_EDGES,
    clock: CLOCK,
    awsService: (service, connection) => {
      const call = awsService(service, connection)
      return (operation, input, stop) => {
        if (!/^(Get|Query|Describe)/.test(operation))
          lines.push(`${service} ${operation} ${JSON.stringify(input)}`)
        return call(operation, input, stop)
      }
    },
    haproxy: (socketPath) => {
      const edges = LIVE_EDGES.haproxy(socketPath)
      return {
        ...edges,
        replace: async (path, text) => {
          lines.push(`write ${path} ${text}`)
          await edges.replace(path, text)
        },
      }
    },
    fragmentFile: (name, path) => {
      const file = LIVE_EDGES.fragmentFile(name, path)
      return {
        path,
        read: () => file.read(),
        change: async (edit, stop) => {
          await file.change(edit, stop)
          lines.push(`write ${path} ${await file.read()}`)
        },
      }
    },
    events: (folder) => {
      const map = LIVE_EDGES.events(folder)
      return {
        ...map,
        set: async (field, text, stop) => {
          lines.push(`set ${field}`)
          await map.set(field, text, stop)
        },
        delete: async (field, stop) => {
          lines.push(`delete ${field}`)
          await map.delete(field, stop)
        },
      }
    },
  }
}
