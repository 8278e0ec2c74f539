const BYTE = '(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])'
const IPV4 = new RegExp(`^(${BYTE}\\.){3}${BYTE}$`)
const IPV6 = /^[0-9a-f:]{2,39}$/i

/**
 * The network of an address: of IPv4 the first 24 bits, of IPv6 the first 64, written as inet_ntop(3) writes its first
 * address, so that a gateway that masks an address finds the same text. Null for anything that is no address.
 */
export function networkOf(address: string | null): string | null {
  if (address === null) return null
  if (IPV4.test(address)) return `${address.slice(0, address.lastIndexOf('.'))}.0`
  if (!IPV6.test(address)) return null
  const [head = '', tail, ...more] = address.toLowerCase().split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length
  if (more.length > 0 || zeros < 0 || before.length + zeros + after.length !== 8) return null
  const groups = [...before, ...Array<string>(zeros).fill('0'), ...after].slice(0, 4)
  if (groups.some((group) => group === '' || group.length > 4)) return null
  const words = groups.map((group) => Number.parseInt(group, 16).toString(16))
  // The longest run of zeros is shortened: here always the one at the end.
  while (words.at(-1) === '0') words.pop()
  return `${words.join(':')}::`
}
