import type { TextFile } from '../gateways/kong-fragment-file.ts'
import type { Recorder } from './recorder.ts'

/** A file for a dry run: it is read as it is, and what would replace it is recorded and read from then on. */
export class DryFile implements TextFile {
  readonly path: string
  readonly #recorder: Recorder
  readonly #real: TextFile
  #written: string | null = null

  constructor(recorder: Recorder, real: TextFile) {
    this.path = real.path
    this.#recorder = recorder
    this.#real = real
  }

  async read(): Promise<string | null> {
    return this.#written ?? (await this.#real.read())
  }

  async change(edit: (text: string | null) => string): Promise<void> {
    const text = edit(await this.read())
    recordReplaced(this.#recorder, this.path, text)
    this.#written = text
  }

  /** What a control plane that loads the file would have loaded by now; null where nothing was written. */
  get replaced(): string | null {
    return this.#written
  }
}

/** Records that a file would be replaced. */
export function recordReplaced(recorder: Recorder, path: string, text: string): void {
  recorder.add({ kind: 'file', ...recorder.mark(false), path, text: recorder.mask.text(text) })
}
