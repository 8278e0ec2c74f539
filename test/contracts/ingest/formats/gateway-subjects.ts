import { type Call, jsonSubject, templated } from './call.ts'
import type { FormatSubject } from './format-contract.ts'

const ISSUER = 'https://idp.example.test/'

function apigeeLine(call: Call, raw: boolean): string {
  const known = call.who !== 'claimed'
  const name = (text: string) => (known ? text : '')
  return templated(
    [
      ['messageid', call.id],
      ['client_received_start_ms', String(call.time)],
      ['client_sent_end_ms', String(call.time + 48)],
      ['target_sent_start_ms', call.who === 'turned away' ? '' : String(call.time + 3)],
      ['client_ip', '203.0.113.10'],
      ['status', call.who === 'turned away' ? '401' : '200'],
      ['fault', call.who === 'turned away' ? 'InvalidToken' : ''],
      ['client_id', name('AbCdEf123')],
      ['developer_app', name('acme-mobile')],
      ['developer_id', name('dev-1001')],
      ['jwt_valid', known ? 'true' : 'false'],
      ['jwt_sub', 'user-42'],
      ['jwt_jti', '0f9c2c4e'],
      ['jwt_iss', ISSUER],
      ['resp_content_length', String(call.bytes)],
      ['verb', 'GET'],
      ['uri', call.uri],
      ['user_agent', call.agent],
    ],
    raw,
  )
}

/** Every gateway's format, each telling the same calls. */
export const GATEWAY_FORMATS: readonly FormatSubject[] = [
  jsonSubject({
    name: 'apigee',
    caller: 'sub:user-42',
    write: apigeeLine,
    template: true,
    victim: '"jwt_valid":"true","jwt_sub":"victim"',
  }),
]
