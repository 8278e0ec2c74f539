import type { Curve } from './result.ts'

/** What stands around the curves of one picture. */
export interface PlotFrame {
  readonly title: string
  /** One line under the title: data, version, what the x axis counts. */
  readonly subtitle: string
  readonly xLabel: string
  readonly yLabel: string
  /** Left and right end of the logarithmic x axis; smaller and larger values are drawn at the ends. */
  readonly x: readonly [low: number, high: number]
  /** Bottom and top of the linear y axis. */
  readonly y: readonly [low: number, high: number]
  /** True to print y as a percentage of 0..1. */
  readonly percent: boolean
  /** Single points with a label, such as the engine at its own budget. */
  readonly marks?: readonly { readonly name: string; readonly x: number; readonly y: number }[]
}

const WIDTH = 900
const HEIGHT = 520
const LEFT = 78
const RIGHT = 246
const TOP = 74
const BOTTOM = 66
const LEGEND_STEP = 34

/** Told apart without colour too: kinds differ in dashes (Okabe and Ito 2008 for the colours). */
const COLOURS: Readonly<Record<Curve['kind'], readonly string[]>> = {
  own: ['#0072b2', '#009e73', '#56b4e9'],
  control: ['#d55e00', '#cc79a7', '#7a7a7a', '#e69f00'],
  peer: ['#6a3d9a', '#8c510a', '#01665e'],
}
const DASHES: Readonly<Record<Curve['kind'], string>> = { own: '', control: '7 4', peer: '2 4' }

/** Detection against false alarms: curves over a logarithmic x axis, as a self-contained SVG. Pure. */
export function plotSvg(frame: PlotFrame, curves: readonly Curve[]): string {
  const axes = scales(frame)
  const styled = withColours(curves)
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="system-ui, sans-serif" font-size="13" fill="#1b1b1b">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    `<text x="${LEFT}" y="30" font-size="18" font-weight="600">${escaped(frame.title)}</text>`,
    `<text x="${LEFT}" y="52" fill="#555555">${escaped(frame.subtitle)}</text>`,
    ...grid(frame, axes),
    ...styled.map((curve) => polyline(curve, axes)),
    ...styled.flatMap((curve, i) => legend(curve, i)),
    ...markShapes(frame.marks ?? [], styled.length, axes),
    '</svg>',
  ]
  return `${parts.join('\n')}\n`
}

interface Axes {
  readonly x: (value: number) => number
  readonly y: (value: number) => number
}

interface Styled extends Curve {
  readonly colour: string
}

function scales({ x: [x0, x1], y: [y0, y1] }: PlotFrame): Axes {
  const between = (value: number, low: number, high: number) => Math.min(high, Math.max(low, value))
  const width = WIDTH - LEFT - RIGHT
  const height = HEIGHT - TOP - BOTTOM
  return {
    x: (value) => LEFT + (width * Math.log(between(value, x0, x1) / x0)) / Math.log(x1 / x0),
    y: (value) => TOP + height * (1 - (between(value, y0, y1) - y0) / (y1 - y0)),
  }
}

function withColours(curves: readonly Curve[]): readonly Styled[] {
  const used: Record<Curve['kind'], number> = { own: 0, control: 0, peer: 0 }
  return curves.map((curve) => {
    const palette = COLOURS[curve.kind]
    return { ...curve, colour: palette[used[curve.kind]++ % palette.length]! }
  })
}

function grid(frame: PlotFrame, axes: Axes): readonly string[] {
  const bottom = HEIGHT - BOTTOM
  const right = WIDTH - RIGHT
  const lines: string[] = []
  for (const value of logTicks(frame.x)) {
    const x = fixed(axes.x(value))
    lines.push(
      `<path d="M${x} ${TOP}V${bottom}" stroke="#e3e3e3"/>`,
      `<text x="${x}" y="${bottom + 19}" text-anchor="middle">${value}</text>`,
    )
  }
  const [y0, y1] = frame.y
  for (let i = 0; i <= 5; i++) {
    const value = y0 + ((y1 - y0) * i) / 5
    const y = fixed(axes.y(value))
    const label = frame.percent ? `${Number((100 * value).toFixed(1))} %` : String(Number(value.toFixed(2)))
    lines.push(
      `<path d="M${LEFT} ${y}H${right}" stroke="#e3e3e3"/>`,
      `<text x="${LEFT - 8}" y="${y + 4}" text-anchor="end">${label}</text>`,
    )
  }
  lines.push(
    `<path d="M${LEFT} ${TOP}V${bottom}H${right}" fill="none" stroke="#555555"/>`,
    `<text x="${(LEFT + right) / 2}" y="${HEIGHT - 18}" text-anchor="middle">${escaped(frame.xLabel)}</text>`,
    `<text transform="translate(20 ${(TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">${escaped(frame.yLabel)}</text>`,
  )
  return lines
}

/** 1, 2, 5 and their decades within the range. */
function logTicks([low, high]: readonly [number, number]): readonly number[] {
  const ticks: number[] = []
  for (let decade = Math.floor(Math.log10(low)); decade <= Math.log10(high); decade++) {
    for (const digit of [1, 2, 5]) {
      const value = Number((digit * 10 ** decade).toPrecision(1))
      if (value >= low && value <= high) ticks.push(value)
    }
  }
  return ticks
}

/** Drawn in steps: between two thresholds there is nothing to choose, so the left value holds. */
function polyline(curve: Styled, axes: Axes): string {
  const corners = curve.points.flatMap(([x, y], i) => {
    const corner = `${fixed(axes.x(x))},${fixed(axes.y(y))}`
    const before = curve.points[i - 1]
    return before === undefined ? [corner] : [`${fixed(axes.x(x))},${fixed(axes.y(before[1]))}`, corner]
  })
  const kept = corners.filter((corner, i) => corner !== corners[i - 1])
  const width = curve.kind === 'own' ? 2.6 : 1.8
  return `<polyline points="${kept.join(' ')}" fill="none" stroke="${curve.colour}" stroke-width="${width}" stroke-linejoin="round"${dashed(curve)}/>`
}

function legend(curve: Styled, row: number): readonly string[] {
  const x = WIDTH - RIGHT + 18
  const y = TOP + 10 + row * LEGEND_STEP
  return [
    `<path d="M${x} ${y}h30" stroke="${curve.colour}" stroke-width="3"${dashed(curve)}/>`,
    `<text x="${x + 38}" y="${y + 4}">${escaped(curve.name)}</text>`,
  ]
}

type Mark = NonNullable<PlotFrame['marks']>[number]

/** Marks that lie closer than this would hide one another: the later stands beside, with a line to its place. */
const MARK_WIDTH = 22

function markShapes(marks: readonly Mark[], curves: number, axes: Axes): readonly string[] {
  const placed: { readonly x: number; readonly y: number }[] = []
  return marks.flatMap((mark, i) => {
    const x = axes.x(mark.x)
    const y = axes.y(mark.y)
    let shown = x
    while (placed.some((other) => Math.hypot(other.x - shown, other.y - y) < MARK_WIDTH)) shown += MARK_WIDTH
    placed.push({ x: shown, y })
    const line = shown === x ? [] : [`<path d="M${fixed(x)} ${fixed(y)}H${fixed(shown)}" stroke="#1b1b1b"/>`]
    return [...line, ...markShape(mark.name, shown, y, i, curves + i)]
  })
}

function markShape(name: string, x: number, y: number, place: number, row: number): readonly string[] {
  const legendX = WIDTH - RIGHT + 33
  const legendY = TOP + 10 + row * LEGEND_STEP
  const letter = String.fromCharCode('A'.charCodeAt(0) + place)
  const diamond = (x: number, y: number) =>
    [
      `<path d="M${fixed(x)} ${fixed(y - 10)}l10 10l-10 10l-10 -10z" fill="#f0e442" stroke="#1b1b1b"/>`,
      `<text x="${fixed(x)}" y="${fixed(y + 4)}" font-size="11" text-anchor="middle">${letter}</text>`,
    ].join('')
  return [
    diamond(x, y),
    diamond(legendX, legendY),
    `<text x="${legendX + 23}" y="${legendY + 4}">${escaped(name)}</text>`,
  ]
}

function dashed(curve: Styled): string {
  const dash = DASHES[curve.kind]
  return dash === '' ? '' : ` stroke-dasharray="${dash}"`
}

function fixed(value: number): number {
  return Number(value.toFixed(2))
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`)
}
