import { CurfewError } from '../../core/errors.ts'
import type { ForgettingView } from '../../engine/control-plane.ts'
import { adminClient } from '../admin-client.ts'
import { type Io, type ParsedArgs, textFlag } from '../command.ts'
import { requireConfig } from '../config/file.ts'
import { shown } from '../config/problem.ts'

/** Longer than a running Curfew waits for its engine. */
const TIMEOUT_MS = 30_000

/** `curfew forget`: has a running Curfew forget a principal; 1 when it does not. */
export async function run(args: ParsedArgs, io: Io): Promise<number> {
  const path = textFlag(args, 'config')
  const reason = textFlag(args, 'reason')
  const [entity] = args.positionals
  if (path === undefined || reason === undefined || entity === undefined)
    throw new CurfewError('USAGE', 'forget needs --config FILE, --reason TEXT and a PRINCIPAL')
  const config = requireConfig(path, io.env, (_, line) => io.stderr.write(`${line}\n`))
  const ask = adminClient(config, (role) => role === 'admin', TIMEOUT_MS)
  const parts = [textFlag(args, 'tenant') ?? 'default', entity].map(encodeURIComponent)
  const { status, body } = await ask(`/v1/principals/${parts.join('/')}/forget`, { reason })
  if (status !== 200) {
    const { error } = (body ?? {}) as { readonly error?: { readonly message?: string } }
    io.stderr.write(`curfew: not forgotten: ${shown(error?.message ?? `the admin API answers ${status}`)}\n`)
    return 1
  }
  const { request, judged, incidents } = body as ForgettingView
  const engine = judged
    ? `the profile and ${incidents} incidents are gone`
    : 'the engine has yet to answer, which it does by itself'
  io.stdout.write(`${request}: ${engine}; what else names it follows, and the audit tells when it has\n`)
  return 0
}
