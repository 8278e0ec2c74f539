import { type Io, isSet, type ParsedArgs, textFlag } from '../command.ts'
import { runDemo } from '../demo/demo.ts'
import { run as runService } from './run.ts'

/** `curfew start`: the demo, or with --config the service. */
export async function run(args: ParsedArgs, io: Io): Promise<number> {
  if (textFlag(args, 'config') !== undefined) return runService(args, io)
  const stop = new AbortController()
  const onSignal = () => stop.abort()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, onSignal)
  try {
    await runDemo(io, isSet(args, 'exit'), stop.signal)
    return 0
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, onSignal)
  }
}
