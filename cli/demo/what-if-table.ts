import type { Screen } from './screen.ts'
import { grouped } from './screen.ts'
import {
  ASSUMED,
  CONNECTIONS,
  type EnvelopedOutcome,
  type ExportOutcome,
  LOG_DELAYS,
  PAGE_SIZES,
} from './what-if.ts'

/** Prints how many records leave before the hold, by how the export is made and how late its log arrives. */
export function printWhatIf(outcomes: readonly ExportOutcome[], screen: Screen): void {
  const perSecond = 1_000 / ASSUMED.requestIntervalMs
  screen.heading('What if the export were made differently? Records that leave before the hold')
  screen.line(
    `  Simulated in event time with the same engine and history. Each connection makes ${perSecond} requests/s, a response`,
  )
  screen.line(
    `  takes ${ASSUMED.responseMs} ms whatever its size, the hold starts ${ASSUMED.reactionMs} ms after the log line arrives, the data never ends.`,
  )
  screen.line(
    `  ${'page size'.padEnd(11)}${'connections'.padEnd(13)}${LOG_DELAYS.map((d) => `log delay ${d} s`.padStart(16)).join('')}`,
  )
  for (const size of PAGE_SIZES)
    for (const connections of CONNECTIONS) {
      const cells = LOG_DELAYS.map((delay) => {
        const found = outcomes.find(
          (o) => o.pageSize === size && o.connections === connections && o.logDelaySeconds === delay,
        )
        return (found?.records == null ? 'not within 60 s' : grouped(found.records)).padStart(16)
      })
      screen.line(`  ${grouped(size).padEnd(11)}${String(connections).padEnd(13)}${cells.join('')}`)
    }
  screen.line(
    '  A log says what has left already: large pages and many connections need limits at the gateway itself.',
  )
}

/** The same export against the envelope of the caller alone, as if no line of the log ever arrived. */
export function printEnveloped(outcomes: readonly EnvelopedOutcome[], screen: Screen): void {
  screen.heading('And with an envelope at the gateway (off by default)? Records that leave in ten minutes')
  screen.line('  However late the log is, and even if Curfew never decides anything.')
  screen.line(`  ${'page size'.padEnd(11)}${'connections'.padEnd(13)}${'records'.padStart(16)}`)
  for (const { pageSize, connections, records } of outcomes) {
    const cells = [
      grouped(pageSize).padEnd(11),
      String(connections).padEnd(13),
      grouped(records).padStart(16),
    ]
    screen.line(`  ${cells.join('')}`)
  }
  screen.line(
    '  What is under way cannot be stopped: two responses of any size, for a caller that makes one call at a time.',
  )
}
