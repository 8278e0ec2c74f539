import { describe, expect, it } from 'vitest'
import { type PlotFrame, plotSvg } from '../../../bench/report/plot.ts'
import type { Curve } from '../../../bench/report/result.ts'

const frame: PlotFrame = {
  title: 'a < b',
  subtitle: '',
  xLabel: 'false alarms',
  yLabel: 'detected',
  x: [1, 100],
  y: [0, 1],
  percent: true,
}
const curve = (points: Curve['points']): Curve => ({ name: 'one & two', kind: 'own', points })

describe('a plot', () => {
  it('puts decades at equal distances and clamps what lies outside, in steps', () => {
    const svg = plotSvg(frame, [
      curve([
        [0, 0],
        [10, 0.5],
        [1000, 2],
      ]),
    ])
    expect(svg).toContain('points="78,454 366,454 366,264 654,264 654,74"')
  })

  it('escapes names, shows every curve in the legend, and is the same text each time', () => {
    const curves = [curve([[1, 0]]), { ...curve([[1, 0]]), name: 'control', kind: 'control' as const }]
    const svg = plotSvg({ ...frame, marks: [{ name: 'own budget', x: 10, y: 0.5 }] }, curves)
    expect(svg).toContain('a &#60; b')
    expect(svg).toContain('one &#38; two')
    expect(svg).toContain('>control<')
    expect(svg).toContain('>own budget<')
    expect(svg).toBe(plotSvg({ ...frame, marks: [{ name: 'own budget', x: 10, y: 0.5 }] }, curves))
  })

  it('shows marks apart that lie on one another', () => {
    const mark = (name: string) => ({ name, x: 10, y: 0.5 })
    const svg = plotSvg({ ...frame, marks: [mark('one'), mark('two'), mark('three')] }, [])
    const shapes = [...svg.matchAll(/<path d="M([\d.]+) ([\d.]+)l10 10/g)].map(([, x, y]) => `${x} ${y}`)
    expect(shapes).toHaveLength(6)
    expect(new Set(shapes).size).toBe(6)
  })
})
