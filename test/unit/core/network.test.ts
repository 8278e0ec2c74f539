import { describe, expect, it } from 'vitest'
import { networkOf } from '../../../core/network.ts'

describe('the network of an address', () => {
  it.each([
    ['203.0.113.9', '203.0.113.0'],
    ['10.0.0.255', '10.0.0.0'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::'],
    ['2001:db8:1:2::9', '2001:db8:1:2::'],
    ['2001:DB8::1', '2001:db8::'],
    ['2001:db8:0:7::1', '2001:db8:0:7::'],
    ['2001:0:0:7:1:2:3:4', '2001:0:0:7::'],
    ['::1', '::'],
    ['fe80::0001', 'fe80::'],
    ['256.0.0.1', null],
    ['1.2.3', null],
    ['01.2.3.4', null],
    ['2001:db8', null],
    ['1:2:3:4:5:6:7:8:9', null],
    ['1::2::3', null],
    ['12345::', null],
    ['::ffff:1.2.3.4', null],
    ['a host', null],
    [null, null],
  ])('%s: %s', (address, network) => {
    expect(networkOf(address)).toBe(network)
  })
})
