import type { Writable } from 'node:stream'

/** Styles of the terminal that the demo uses, by their SGR codes (ECMA-48). */
const STYLES = { bold: '1', dim: '2', red: '31', green: '32', yellow: '33' } as const

/** Writes the story; in colour only where somebody looks at it. */
export class Screen {
  private readonly out: Writable
  private readonly hasColour: boolean

  constructor(out: Writable, hasColour: boolean) {
    this.out = out
    this.hasColour = hasColour
  }

  line(text = ''): void {
    this.out.write(`${text}\n`)
  }

  /** A heading with an empty line before it. */
  heading(text: string): void {
    this.line()
    this.line(this.styled('bold', text))
  }

  styled(style: keyof typeof STYLES, text: string): string {
    return this.hasColour ? `\u001b[${STYLES[style]}m${text}\u001b[0m` : text
  }

  /** A status code in the colour of what it means for the client. */
  status(status: number): string {
    const style = status === 200 ? 'green' : status === 429 ? 'yellow' : 'red'
    return this.styled(style, String(status))
  }
}

/** A whole number with thousands separators. */
export function grouped(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ',')
}

/** `03:00:04` of an instant, UTC. */
export function clockTime(ms: number): string {
  return new Date(ms).toISOString().slice(11, 19)
}
