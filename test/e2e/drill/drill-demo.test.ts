import { writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CANARY, ISSUER } from '../../../cli/demo/callers.ts'
import { startGateway } from '../../../cli/demo/gateway.ts'
import type { LoopbackServer } from '../../../cli/demo/loopback-server.ts'
import { signToken } from '../../../cli/demo/token.ts'
import type { DrillReport } from '../../../cli/drill/drill.ts'
import { wallTime } from '../../../core/time.ts'
import { type CompiledProgram, compileProgram } from '../../services/compiled-program.ts'
import { runCurfew } from '../../services/curfew-process.ts'
import { freePort } from '../../services/free-port.ts'
import { type PushedCurfew, startPushedCurfew } from '../../services/pushed-curfew.ts'

const SECRET = 'demo-drill-token-secret-0123456789'
const PRINCIPAL = `consumer:${CANARY.username}`

/** The same drill at the gateway of the demo, which asks the decision endpoint; no Kafka, no Redis. */
describe('curfew drill at the demo gateway', () => {
  let compiled: CompiledProgram
  let pushed: PushedCurfew
  let upstream: Server
  let gateway: LoopbackServer

  beforeAll(async () => {
    compiled = await compileProgram()
    const decisions = await freePort()
    pushed = await startPushedCurfew({
      program: compiled.file('cli/main.ts'),
      formats: ['kong'],
      settings: `modes: [{ principal: '${PRINCIPAL}', mode: enforce }]
enforcement: { gateways: [{ name: inline, kind: decision }] }
decisionEndpoint:
  listen: 127.0.0.1:${decisions}
  trustHeaders: true
  keys: [{ kind: hs, alg: HS256, issuer: '${ISSUER}', secretEnv: TOKEN_SECRET }]`,
      env: { TOKEN_SECRET: SECRET },
    })
    upstream = createServer((_, response) => response.end('[]'))
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
    const address = upstream.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    gateway = await startGateway({
      upstream: `http://127.0.0.1:${address.port}`,
      decisions: `http://127.0.0.1:${decisions}`,
      secret: new TextEncoder().encode(SECRET),
      clock: { now: () => wallTime(Date.now()) },
      log: (line) => void pushed.push('kong', [line]),
    })
  })

  afterAll(async () => {
    await gateway?.close()
    await new Promise((resolve) => upstream?.close(resolve))
    await pushed?.close()
    await compiled?.remove()
  })

  it('is refused by requests alone, told about, and served again', async () => {
    const now = Math.floor(Date.now() / 1_000)
    const claims = { iss: ISSUER, sub: CANARY.username, jti: 'drill-1', iat: now - 60, exp: now + 3_600 }
    const token = await signToken(claims, new TextEncoder().encode(SECRET))
    await writeFile(
      join(pushed.folder, 'drill.yaml'),
      `admin: { listen: '${new URL(pushed.curfew.admin).host}', tokens: [{ name: test, role: admin, tokenEnv: ADMIN_TOKEN }] }
drill: { url: '${gateway.url}/v1/orders', tokenEnv: CANARY_TOKEN, principal: '${PRINCIPAL}', callsPerSecond: 100 }
`,
    )
    const { code, stdout, stderr } = await runCurfew({
      program: compiled.file('cli/main.ts'),
      args: ['drill', '--config', 'drill.yaml', '--json'],
      cwd: pushed.folder,
      env: { ADMIN_TOKEN: pushed.adminToken, CANARY_TOKEN: token },
    })
    if (stdout === '') throw new Error(stderr)
    const report = JSON.parse(stdout) as DrillReport
    console.info(`drill: ${JSON.stringify(report)}`)
    expect(report).toMatchObject({ broken: [], told: ['siem'], left: null })
    expect(report.calls).toBeGreaterThan(200)
    expect(code).toBe(0)
  })
})
