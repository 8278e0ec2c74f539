import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { textFolder } from '../../../cli/text-folder.ts'
import type { Scope } from '../../../core/decision.ts'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { CaepGateway } from '../../../enforcement/gateways/caep.ts'
import { EventReceiver } from '../../../enforcement/gateways/event-receiver.ts'
import { eventSigner } from '../../../enforcement/gateways/event-signer.ts'
import { converge, HOSTILE_IDS } from '../../services/convergence.ts'
import {
  FAKE_AUDIENCE,
  FAKE_EVENT_KEYS,
  FAKE_TRANSMITTER,
  FakeEventReceiver,
} from '../../services/event-receiver-fake.ts'
import type { Fault } from '../../services/injected-faults.ts'
import type { GatewayBench } from './gateway-contract.ts'
import { gatewayContract } from './gateway-contract.ts'

const never = new AbortController().signal
const UNTIL = wallTime(1_790_000_000_500)
const ISSUER = 'https://login.example'
const violations: string[] = []
let sent = 0
const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const rule = (id: string, scope: Scope): Rule => ({
  id,
  action: 'revoke-token',
  scope,
  limit: null,
  until: UNTIL,
})
const subject = (sub: string, iss: string | null = ISSUER): Scope => ({
  kind: 'subject',
  iss,
  sub,
  notBefore: null,
})
const token = (jti: string, iss: string | null = ISSUER): Scope => ({ kind: 'token', iss, jti })

function gatewayOn(
  receiver: FakeEventReceiver,
  folder: string,
  name = 'idp',
  tokenIssuer: string | null = null,
) {
  const key = { pem: FAKE_EVENT_KEYS.privateKey, algorithm: 'ES256', keyId: 'key-1' } as const
  const ticks = [1_780_000_000_000]
  return new CaepGateway({
    name,
    issuer: FAKE_TRANSMITTER,
    audience: FAKE_AUDIENCE,
    tokenIssuer,
    receiver: new EventReceiver({
      name,
      url: receiver.url,
      token: 'canary-receiver-token',
      timeoutMs: 5_000,
      fetch,
    }),
    sign: eventSigner(name, key),
    told: textFolder(folder),
    clock: { now: () => wallTime(ticks[0]! + 1_000 * ticks.push(0)) },
    effectSeconds: 300,
  })
}

async function rig() {
  const receiver = new FakeEventReceiver()
  await receiver.start()
  const root = await mkdtemp(join(tmpdir(), 'curfew-caep-'))
  cleanups.push(async () => {
    sent += receiver.validated
    await receiver.stop()
    await rm(root, { recursive: true, force: true })
  })
  return { receiver, root, folder: join(root, 'told') }
}

async function make(): Promise<GatewayBench> {
  const { receiver, root, folder } = await rig()
  receiver.severalSenders = true
  let broken = false
  return {
    adapter: gatewayOn(receiver, folder, 'idp', ISSUER),
    other: gatewayOn(receiver, folder, 'idp-2', ISSUER),
    calls: () => receiver.calls,
    // A list hangs on no receiver: it is read here.
    failures: ['refused', 'status-500', 'garbage'],
    // What was told is on record here: its failures are those of the folder.
    fail: async (failure) => {
      if (broken) {
        await rm(folder, { force: true })
        await rename(join(root, 'aside'), folder).catch(() => undefined)
      }
      broken = failure !== null
      if (broken) {
        await rename(folder, join(root, 'aside')).catch(() => undefined)
        await writeFile(folder, 'no folder')
      }
      await receiver.fail(failure)
    },
    state: async () =>
      [...(await textFolder(folder).entries(never))].map(([id, text]) => [id, withoutTime(text)]),
    close: async () => {
      violations.push(...receiver.violations)
    },
  }
}

/** Whoever is first says when; the contract compares what is told. */
function withoutTime(text: string): unknown {
  const { at: _at, ...rest } = JSON.parse(text)
  return rest
}

gatewayContract({
  name: 'CAEP events',
  make,
  rules: [
    rule('dec_a', subject('alice')),
    rule('dec_b', token('a/b,c"\u0000#')),
    rule('dec_c', subject('it\'s; "bob"\r\n../..', null)),
  ],
  changed: { ...rule('dec_a', subject('alice')), until: wallTime(UNTIL + 60_000) },
  unsupported: rule('dec_no', { kind: 'token-issue', iss: ISSUER, sub: 'alice', iat: 1 }),
})

const FAULTS: readonly (readonly [Fault, number])[] = [
  ['too-many-requests', 1],
  ['too-many-requests', 3],
  ['server-error', 1],
  ['server-error', 4],
  ['conflict', 1],
  ['conflict', 2],
  ['cut-connection', 1],
  ['cut-connection', 3],
  ['lost-answer', 1],
  ['lost-answer', 2],
  ['garbage', 1],
  ['garbage', 2],
]

describe('pushing events', { timeout: 60_000 }, () => {
  it.each(FAULTS)('%s, %i times: told in the end, and once by its jti', async (fault, times) => {
    const { receiver, folder } = await rig()
    const gateway = gatewayOn(receiver, folder)
    const rules = [rule('dec_a', subject('alice')), rule('dec_b', token('t-1'))]
    receiver.faults.inject(/Push/, fault, times)
    await converge(gateway, rules)
    expect([...receiver.state.events.values()].map((event) => event.subject)).toEqual([
      { format: 'iss_sub', iss: ISSUER, sub: 'alice' },
      { format: 'jwt_id', iss: ISSUER, jti: 't-1' },
    ])
    expect(receiver.faults.unmet).toBe(0)
    await converge(gateway, [])
    expect(await gateway.list(never)).toEqual([])
    expect(receiver.violations).toEqual([])
  })

  it('sends one event, whoever repeats it and however long the hold becomes', async () => {
    const { receiver, folder } = await rig()
    const one = rule('dec_a', subject('alice'))
    await gatewayOn(receiver, folder).put(one, never)
    await gatewayOn(receiver, folder).put({ ...one, until: wallTime(UNTIL + 60_000) }, never)
    expect([...receiver.state.events.values()].map(({ times }) => times)).toEqual([1])
    const elsewhere = await rig()
    receiver.severalSenders = true
    await gatewayOn(receiver, elsewhere.folder).put(one, never)
    expect([...receiver.state.events.values()].map(({ times }) => times)).toEqual([2])
  })

  it.each([
    'invalid_request',
    'invalid_key',
    'invalid_issuer',
    'invalid_audience',
    'authentication_failed',
    'access_denied',
    'of_their_own',
  ])('is refused with %s, in words, and not repeated at once', async (err) => {
    const { receiver, folder } = await rig()
    receiver.err = err
    const gateway = gatewayOn(receiver, folder)
    const put = gateway.put(rule('dec_a', subject('alice')), never)
    await expect(put).rejects.toMatchObject({ code: 'GATEWAY_REFUSED', retriable: false })
    await expect(put).rejects.toThrow(new RegExp(`400: "?${err}"? "as told\\\\nby the test"`))
    expect(await gateway.list(never)).toMatchObject([{ id: 'dec_a', until: 0 }])
    receiver.err = null
    await converge(gateway, [rule('dec_a', subject('alice'))])
    expect(receiver.state.events.size).toBe(1)
  })

  it('tells nobody about users of an issuer that the receiver does not know', async () => {
    const { receiver, folder } = await rig()
    const gateway = gatewayOn(receiver, folder, 'idp', ISSUER)
    await expect(
      gateway.put(rule('dec_a', subject('alice', 'https://another.example')), never),
    ).rejects.toMatchObject({ code: 'GATEWAY_UNSUPPORTED' })
    expect(receiver.calls).toBe(0)
    await gateway.put(rule('dec_b', subject('alice')), never)
    expect(receiver.state.events.size).toBe(1)
  })

  it('takes no name that is empty or endless, and no id that is a path', async () => {
    const { receiver, folder } = await rig()
    const gateway = gatewayOn(receiver, folder)
    const refusal = { code: 'GATEWAY_UNSUPPORTED' }
    for (const id of HOSTILE_IDS)
      await expect(gateway.put(rule(id, subject('alice')), never)).rejects.toMatchObject(refusal)
    for (const sub of ['', 'x'.repeat(10_240)])
      await expect(gateway.put(rule('dec_a', subject(sub)), never)).rejects.toMatchObject(refusal)
    await expect(gateway.put(rule('dec_a', subject('alice', null)), never)).rejects.toMatchObject(refusal)
    expect(receiver.calls).toBe(0)
    const names = HOSTILE_IDS.filter((name) => name !== '' && name.length < 1_024)
    for (const [i, name] of names.entries()) await gateway.put(rule(`dec_${i}`, subject(name)), never)
    expect(receiver.state.events.size).toBe(names.length)
    expect(receiver.violations).toEqual([])
  })

  afterAll(() => {
    expect(violations).toEqual([])
    console.log(`CAEP: ${sent} events checked against RFC 8417, RFC 8935 and CAEP 1.0`)
  })
})
