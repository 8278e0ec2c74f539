/** Principals: the list, and what is normal for one. */
export const principals = `
const DAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']
const STATE_KIND = { LEARNING: 'medium', PROVISIONAL: 'low', MATURE: 'good', STALE: 'high' }

async function principalsPage(parts, parameters) {
  const search = parameters.get('search') || ''
  const page = await api('/v1/principals?' + query({ limit: '100', search: search, cursor: parameters.get('from') }))
  const field = el('input', { type: 'search', id: 'search', value: search, 'aria-label': 'Search by name', placeholder: 'Search by name' })
  return [
    el('div', { class: 'row between head' }, el('h1', {}, 'Principals'),
      el('form', {
        class: 'row',
        onsubmit: function (event) { event.preventDefault(); location.hash = '#/principals?' + query({ search: field.value }) },
      }, field, el('button', { type: 'submit' }, 'Search'))),
    page.items.length === 0 ? empty('No principal found.') : flush(null, table(
      ['Principal', 'Knowledge', { class: 'number', content: 'Events' }, 'First seen (UTC)', 'Last seen (UTC)'],
      page.items.map(function (p) {
        return [[link(path('principals', p.tenant, p.entity), text(p.entity)), el('div', { class: 'small muted' }, text(p.tenant))],
          pill(p.state, STATE_KIND[p.state]), num(number(p.events)), { class: 'nowrap', content: when(p.firstSeen) }, { class: 'nowrap', content: when(p.lastSeen) }]
      }), 'Principals')),
    page.nextCursor && link('#/principals?' + query({ search: search, from: page.nextCursor }), 'More principals'),
  ]
}

function peakWords(weights) {
  const peak = weights.indexOf(Math.max(...weights))
  return 'Activity by hour of the week in UTC; busiest on ' + DAYS[Math.floor(peak / 24)] + ' at ' + (peak % 24) + ':00'
}

/** 7 days by 24 hours; darker is busier, an outlined cell never saw a call. */
function heatMap(weights) {
  const most = Math.max(...weights, 0)
  if (most === 0) return el('p', { class: 'muted' }, 'No activity has been learnt yet.')
  const cells = []
  for (let hour = 0; hour < 168; hour++) {
    const share = (weights[hour] || 0) / most
    const x = 44 + (hour % 24) * 26
    const y = 4 + Math.floor(hour / 24) * 26
    cells.push(svg('g', {},
      svg('rect', { class: 'empty', x: x, y: y, width: 23, height: 23, rx: 4 }),
      svg('rect', { class: 'cell', x: x, y: y, width: 23, height: 23, rx: 4, 'fill-opacity': share === 0 ? 0 : (0.12 + 0.88 * Math.sqrt(share)).toFixed(3) },
        svg('title', {}, DAYS[Math.floor(hour / 24)] + ' ' + (hour % 24) + ':00, ' + (100 * (weights[hour] || 0)).toFixed(2) + ' % of the week'))))
  }
  const rows = DAYS.map(function (day, i) { return svg('text', { x: 36, y: 20 + i * 26, 'text-anchor': 'end' }, day) })
  const columns = [0, 3, 6, 9, 12, 15, 18, 21].map(function (h) {
    return svg('text', { x: 55.5 + h * 26, y: 202, 'text-anchor': 'middle' }, String(h).padStart(2, '0'))
  })
  return el('div', { class: 'scroll' },
    svg('svg', { class: 'heat', viewBox: '0 0 672 208', role: 'img', 'aria-label': peakWords(weights) }, cells, rows, columns))
}

async function principalPage(parts) {
  const p = await api('/v1/principals/' + encodeURIComponent(parts[1]) + '/' + encodeURIComponent(parts[2]))
  const recent = await api('/v1/incidents?' + query({ limit: '20', tenant: p.tenant, entity: p.entity }))
  return [
    el('p', { class: 'small' }, link('#/principals', '← Principals')),
    el('div', { class: 'head' }, el('h1', {}, text(p.entity)), pill(p.state, STATE_KIND[p.state])),
    el('div', { class: 'columns' },
      el('div', {},
        card('Active hours (UTC)', heatMap(p.hourOfWeek)),
        p.normal.length === 0 ? empty('Normal ranges are not known yet.') : flush('Normal ranges', table(
          ['Feature', 'Window', { class: 'number', content: 'Expected' }, { class: 'number', content: '99 % range' }, 'Unit'],
          p.normal.map(function (n) {
            return [text(n.feature), n.window, num(number(n.expected)), num(number(n.range[0]) + ' – ' + number(n.range[1])), text(n.unit)]
          }), 'Normal ranges'))),
      el('div', {},
        card('Facts', facts([
          ['Tenant', text(p.tenant)], ['Events', number(p.events)], ['First seen', when(p.firstSeen)], ['Last seen', when(p.lastSeen)],
          ['Stable id', el('span', { class: 'id' }, text(p.stableId))],
        ])),
        card('Incidents', recent.items.length === 0 ? el('p', { class: 'muted' }, 'None.')
          : el('ul', { class: 'plain' }, recent.items.map(function (incident) {
            return el('li', {}, pill(incident.severity, incident.severity), ' ', link(path('incidents', incident.id), when(incident.openedAt)), ' ' + incident.state)
          }))))),
  ]
}
`
