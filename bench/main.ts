const BENCHMARKS: Record<string, () => Promise<{ run(args: readonly string[]): Promise<void> }>> = {
  parse: () => import('./parse.ts'),
  replay: () => import('./replay.ts'),
  latency: () => import('./latency.ts'),
  crash: () => import('./crash.ts'),
}

/** `npm run bench -- NAME [options]`: one benchmark; its last line on standard output is JSON. */
const [name, ...args] = process.argv.slice(2)
const load = name === undefined ? undefined : BENCHMARKS[name]
if (load === undefined) {
  process.stderr.write(
    `usage: npm run bench -- ${Object.keys(BENCHMARKS).join('|')} [--runs N] [--lines N]\n`,
  )
  process.exitCode = 2
} else {
  const benchmark = await load()
  await benchmark.run(args)
}
