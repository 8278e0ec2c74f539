import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const MAIN = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

let temp: string

beforeEach(() => {
  temp = mkdtempSync(join(tmpdir(), 'curfew-test-'))
})

afterEach(() => rmSync(temp, { recursive: true, force: true }))

/** `curfew start` of the build, with its temporary files where they can be looked at. */
function start(
  args: readonly string[],
  onOutput: (out: string, child: ChildProcess) => void,
): Promise<Ended> {
  const child = spawn(process.execPath, [MAIN, 'start', ...args], {
    env: { ...process.env, TMPDIR: temp },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString()
    onOutput(out, child)
  })
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString()
  })
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, out, err })))
}

describe('curfew start', () => {
  it('tells the whole story and leaves nothing behind', async () => {
    const { code, out, err } = await start(['--exit'], () => undefined)
    expect({ code, err }).toEqual({ code: 0, err: '' })
    // The throttle lets one call through every ten seconds; the revocation may follow upon one.
    expect(out).toMatch(
      /with the stolen token: 200 x \d+ -> 429 x \d+( -> 200 x 1 -> 429 x \d+)*( -> 200 x 1)? -> 401 x \d+/,
    )
    const left = Number(/([\d,]+) records left before the throttle held/.exec(out)?.[1]?.replace(',', ''))
    expect(left).toBeGreaterThan(0)
    expect(left).toBeLessThanOrEqual(500)
    expect(out).toMatch(/warehouse-etl, 3 AM as every night: 200 x 12, 6,000 records: not touched/)
    expect(out).toContain('incidents in these days: 0')
    expect(out).toMatch(
      /DECISION\s+block consumer:orders-svc, from the network 127\.0\.0\.0, for 60 min: in-force/,
    )
    expect(out).toContain('this gateway cannot tell networks: throttle to 1 request per 10 s')
    expect(out).toMatch(/DECISION\s+revoke-token consumer:orders-svc, the token with jti .* in-force/)
    expect(out).toMatch(/effective by 03:\d\d:\d\d\.\d{3} UTC/)
    expect(out).toMatch(/dashboard http:\/\/127\.0\.0\.1:\d+\/#token=\S+/)
    expect(out).toMatch(/10,000 +20 +[\d,]+ +[\d,]+ +[\d,]+/)
    // Nobody looks at a pipe: no colours.
    expect(out).not.toContain('\u001b')
    expect(readdirSync(temp)).toEqual([])
  })

  it('stops when it is asked to, in the middle of the night', async () => {
    let asked = false
    const { code, err } = await start([], (out, child) => {
      if (asked || !out.includes('429')) return
      asked = true
      child.kill('SIGTERM')
    })
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(readdirSync(temp)).toEqual([])
  })

  it('releases by the command that it prints', async () => {
    let asked: Promise<number> | null = null
    const { code } = await start([], (out, child) => {
      if (asked !== null || !out.includes('goes on until Ctrl-C')) return
      const [, token, url] = /Bearer (\S+)' .* (http:\S+\/release)/.exec(out) ?? []
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      const body = JSON.stringify({ reason: 'planned migration' })
      asked = fetch(url!, { method: 'POST', headers, body }).then(({ status }) => {
        child.kill('SIGINT')
        return status
      })
    })
    expect(code).toBe(0)
    expect(await asked).toBe(200)
  })
})
