import { Readable, Writable } from 'node:stream'
import { runCommandLine } from '../../cli/dispatch.ts'
import { wallTime } from '../../core/time.ts'

class Collected extends Writable {
  text = ''
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString()
    done()
  }
}

/** Runs a command line in this process; `now` is what its clock says, epoch ms. */
export async function runCommand(
  words: readonly string[],
  now: number,
  env: Readonly<Record<string, string>> = {},
) {
  const [stdout, stderr] = [new Collected(), new Collected()]
  const clock = { now: () => wallTime(now) }
  const io = { stdin: Readable.from([]), stdout, stderr, env, clock, isTerminal: false }
  const code = await runCommandLine(words, io)
  return { code, out: stdout.text, err: stderr.text }
}
