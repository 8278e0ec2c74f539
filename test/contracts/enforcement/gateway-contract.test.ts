import { describe, expect, it } from 'vitest'
import { gatewayContract, runGatewayCheck } from './gateway-contract.ts'
import { GATEWAY_TWINS, twinCase } from './gateway-twins.ts'

gatewayContract(twinCase())

describe('the gateway contract rejects an adapter that', () => {
  it.each(GATEWAY_TWINS)('$name, by $failing', async ({ failing, twin }) => {
    await expect(runGatewayCheck(failing, twinCase(twin))).rejects.toThrow()
  })
})
