import { describe, expect, it } from 'vitest'
import { MAX_MESSAGES, pushedMessages } from '../../../ingest/sources/pushed-body.ts'

const messages = (body: string) =>
  pushedMessages(Buffer.from(body)).map((bytes) => Buffer.from(bytes).toString())

describe('messages of a pushed body', () => {
  it.each([
    ['lines', '{"a":1}\n{"a":2}\r\n\n{"a":3}', ['{"a":1}', '{"a":2}', '{"a":3}']],
    ['one object', '{"a":1}', ['{"a":1}']],
    ['one object over lines', '{\n "a": 1\n}\n', ['{\n "a": 1\n}\n']],
    [
      'an array, elements as they stand',
      ' [ {"a":1,"a":[2]} ,\n {"b":"],\\"["} ] \n',
      ['{"a":1,"a":[2]}', '{"b":"],\\"["}'],
    ],
    ['an empty array', '[]', []],
    ['nothing', ' \n', []],
    ['an array that does not close', '[{"a":1}', ['[{"a":1}']],
    ['an array with something behind it', '[1]\n[2]', ['[1]', '[2]']],
    [
      'text lines',
      '1.2.3.4 - - "GET /"\n5.6.7.8 - - "GET /"',
      ['1.2.3.4 - - "GET /"', '5.6.7.8 - - "GET /"'],
    ],
    ['a broken line among lines', '{"a":\n{"a":2}', ['{"a":', '{"a":2}']],
  ])('%s', (_, body, expected) => {
    expect(messages(body)).toEqual(expected)
  })

  it('stops counting behind the bound', () => {
    expect(messages('1\n'.repeat(MAX_MESSAGES + 50)).length).toBe(MAX_MESSAGES + 1)
    expect(messages(`[${'1,'.repeat(MAX_MESSAGES + 50)}1]`).length).toBe(MAX_MESSAGES + 1)
  })
})
