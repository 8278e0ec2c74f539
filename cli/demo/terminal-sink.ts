import { messageText, plainLine } from '../../alerts/message-text.ts'
import type { AlertDigest, AlertMessage, AlertSink } from '../../alerts/sink.ts'
import type { Screen } from './screen.ts'

/** Tells alerts on the terminal of the demo, in the words that people get elsewhere. */
export function terminalSink(screen: Screen): AlertSink {
  return {
    name: 'terminal',
    async deliver(message: AlertMessage) {
      tell(message, screen)
      return null
    },
    async deliverDigest({ alerts, omitted }: AlertDigest) {
      screen.line(`  ALERT     ${alerts.length + omitted} alerts in one message`)
    },
  }
}

function tell(message: AlertMessage, screen: Screen): void {
  const { title, why } = messageText(message)
  screen.line(`  ${screen.styled('bold', 'ALERT')}     ${screen.styled('red', plainLine(title))}`)
  if (message.alert.transition === 'resolved') return
  for (const reason of why) screen.line(`            ${plainLine(reason)}`)
}
