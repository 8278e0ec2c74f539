import { CurfewError } from '../../core/errors.ts'
import { type Io, isSet, type ParsedArgs, textFlag } from '../command.ts'
import { requireConfig } from '../config/file.ts'
import { shown } from '../config/problem.ts'
import { openEvidence } from '../evidence.ts'
import { decisionText, incidentText, recombined } from '../explanation.ts'

/** `curfew explain`: prints the evidence of an incident or a decision; 1 when there is none of that id. */
export async function run(args: ParsedArgs, io: Io): Promise<number> {
  const path = textFlag(args, 'config')
  const [id] = args.positionals
  if (path === undefined || id === undefined)
    throw new CurfewError('USAGE', 'explain needs --config FILE and an ID')
  const config = requireConfig(path, io.env, (_, line) => io.stderr.write(`${line}\n`))
  const evidence = await openEvidence(config)
  try {
    const decision = id.startsWith('dec_') ? await evidence.decision(id) : null
    const incident =
      decision === null ? await evidence.incident(id) : await evidence.incident(decision.decision.incident)
    if (decision === null && incident === null) {
      io.stderr.write(`curfew: there is no incident or decision ${shown(id)}\n`)
      return 1
    }
    if (isSet(args, 'json')) {
      const again = incident === null ? null : recombined(incident)
      io.stdout.write(`${JSON.stringify({ incident, decision, recombined: again })}\n`)
      return 0
    }
    const texts = [
      decision === null ? '' : decisionText(decision),
      incident === null ? '' : incidentText(incident),
    ]
    io.stdout.write(texts.filter((text) => text !== '').join('\n'))
    return 0
  } finally {
    await evidence.close()
  }
}
