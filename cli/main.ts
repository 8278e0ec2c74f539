#!/usr/bin/env node
import { wallTime } from '../core/time.ts'
import { runCommandLine } from './dispatch.ts'

// A reader that stops early (`curfew --help | head -1`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(0)
})

process.exitCode = await runCommandLine(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  clock: { now: () => wallTime(Date.now()) },
  isTerminal: process.stdout.isTTY === true,
})
