const SHOWN = '[secret]'

/**
 * A secret of the configuration. Printing, serialising or inspecting it shows `[secret]`; only
 * {@link Secret.reveal} gives the text, at the place that sends it.
 */
export class Secret {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** The secret itself. */
  reveal(): string {
    return this.#text
  }

  toString(): string {
    return SHOWN
  }

  toJSON(): string {
    return SHOWN
  }

  /** What `console.log` and `util.inspect` show. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return SHOWN
  }
}
