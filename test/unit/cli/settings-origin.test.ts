import { describe, expect, it } from 'vitest'
import { reconfigured } from '../../../cli/settings-origin.ts'
import { DEFAULT_SETTINGS, type MaintenanceWindow } from '../../../engine/settings.ts'

const NOW = Date.parse('2026-12-01T00:00:00Z')
const work = (entity: string, to = '2026-12-01T06:00:00Z'): MaintenanceWindow => ({
  tenant: 'default',
  entity,
  from: '2026-11-30T22:00:00Z',
  to,
  reason: 'planned work',
})
const file = (...maintenance: readonly MaintenanceWindow[]) => ({
  values: DEFAULT_SETTINGS,
  modes: [],
  allow: [],
  maintenance,
})

describe('planned work after the configuration file changed', () => {
  const current = { ...file(work('consumer:old'), work('consumer:api')), version: 3 }

  it('is what the file says now, and what was planned elsewhere', () => {
    expect(
      reconfigured(current, file(work('consumer:old')), file(work('consumer:new')), NOW)?.maintenance,
    ).toEqual([work('consumer:new'), work('consumer:api')])
  })

  it('leaves out what is over, and stays when the file says the same', () => {
    const over = { ...file(work('consumer:api', '2026-11-30T23:00:00Z')), version: 3 }
    expect(reconfigured(over, file(work('consumer:old')), file(), NOW)).not.toHaveProperty('maintenance')
    expect(reconfigured(current, file(work('consumer:old')), file(work('consumer:old')), NOW)).toBeNull()
  })
})
