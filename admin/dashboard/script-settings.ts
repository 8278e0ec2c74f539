/** Settings with preview before any change, their history, and the audit. */
export const settings = `
const LOOSENING_DAYS = [['1', '1 day'], ['7', '7 days'], ['30', '30 days'], ['90', '90 days']]

async function settingsPage() {
  const answers = await Promise.all([api('/v1/settings'), api('/v1/settings/specs'), api('/v1/settings/history?limit=20')])
  const current = answers[0]
  const specs = answers[1]
  const rows = Object.keys(specs).map(function (name) {
    const spec = specs[name]
    return [
      [el('strong', {}, name), el('div', { class: 'small muted' }, spec.description)],
      num(number(current.values[name])), spec.unit, num(number(spec.default)),
      may('responder') && button('Change', '', function () { changeValue(current, name, spec) }),
    ]
  })
  const right = function (words) { return { class: 'number', content: words } }
  return [
    el('div', { class: 'head' }, el('h1', {}, 'Settings'), el('span', { class: 'muted' }, 'Version ' + current.version)),
    flush(null, table(['Setting', right('Value'), 'Unit', right('Default'), ''], rows, 'Thresholds')),
    modesCard(current.modes), allowCard(current.allow), maintenanceCard(current.maintenance || []), historyCard(answers[2].items, current.version),
  ]
}

function modesCard(modes) {
  const rows = modes.map(function (rule) {
    const on = Object.keys(rule).filter(function (k) { return k !== 'mode' && k !== 'onTimeout' }).map(function (k) { return k + ' ' + rule[k] })
    return [text(on.join(', ') || 'everything'), [pill(rule.mode, rule.mode === 'enforce' ? 'good' : 'low'),
      rule.mode === 'approve' && el('div', { class: 'small muted' }, 'without an answer: ' + ON_TIMEOUT[rule.onTimeout || 'drop'])]]
  })
  return rows.length === 0 ? card('Modes', el('p', { class: 'muted' }, 'Nothing is set: the engine observes and never acts.'))
    : flush('Modes', table(['For', 'Mode'], rows, 'Modes'))
}

function maintenanceCard(windows) {
  if (windows.length === 0) return card('Planned work', el('p', { class: 'muted' }, 'None.'))
  return flush('Planned work', table(['Tenant', 'Who', 'From (UTC)', 'To (UTC)', 'Why'], windows.map(function (w) {
    return [text(w.tenant), text(w.entity || 'group ' + w.group), when(w.from), when(w.to), text(w.reason)]
  }), 'Planned work'))
}

function allowCard(rules) {
  if (rules.length === 0) return card('Allow list', el('p', { class: 'muted' }, 'No exceptions.'))
  return flush('Allow list', table(['Who', 'Why', 'Until (UTC)'], rules.map(function (rule) {
    return [[text(rule.entity), el('div', { class: 'small muted' }, text(rule.tenant))], text(rule.reason), rule.expires ? when(rule.expires) : 'no end (configuration file)']
  }), 'Allow list'))
}

function historyCard(versions, current) {
  return flush('History', table(['Version', 'When (UTC)', 'Who', 'Why', ''], versions.map(function (v) {
    const version = v.settings.version
    return [String(version), { class: 'nowrap', content: when(v.time) }, text(v.actor),
      [text(v.reason), v.expires && el('div', { class: 'small muted' }, 'what it loosened ends ', when(v.expires))],
      version !== current && may('responder') && button('Revert to this', '', function () {
        const until = untilField()
        ask('Revert', 'Makes version ' + version + ' current again, under a new number.', until.node, function (reason) {
          return change('/v1/settings/revert', 'POST', { version: version, reason: reason }, until)
        })
      })]
  }), 'History of the settings'))
}

/** How long a loosening holds; asked for always, sent when the server says that it is one. */
function untilField() {
  const select = el('select', { id: 'until' }, LOOSENING_DAYS.map(function (d) { return el('option', { value: d[0] }, d[1]) }))
  return {
    node: [el('label', { for: 'until' }, 'If this loosens something: for how long'), select],
    value: function () { return new Date(Date.now() + Number(select.value) * 86400000 - 60000).toISOString() },
  }
}

function change(url, method, body, until) {
  return api(url, { method: method, body: Object.assign({}, body, { expires: until.value() }) })
}

function withValue(current, name, value) {
  return { values: Object.assign({}, current.values, { [name]: value }), modes: current.modes, allow: current.allow, maintenance: current.maintenance }
}

function changeValue(current, name, spec) {
  const preview = el('p', { class: 'small', role: 'status' })
  const field = el('input', { id: 'value', type: 'number', step: 'any', min: spec.min, max: spec.max, value: current.values[name], required: true })
  const until = untilField()
  let asked = 0
  field.oninput = async function () {
    const turn = ++asked
    if (!field.checkValidity()) { preview.textContent = 'From ' + spec.min + ' to ' + spec.max + '.'; return }
    try {
      const answer = await api('/v1/settings/preview', { method: 'POST', body: { settings: withValue(current, name, Number(field.value)) } })
      if (turn === asked) preview.textContent = plain(previewWords(answer))
    } catch (problem) { if (turn === asked) preview.textContent = plain(problem.message) }
  }
  const extra = [el('label', { for: 'value' }, name + ' (' + spec.unit + ')'), field, preview, until.node]
  ask('Change', spec.description, extra, function (reason) {
    const body = { settings: withValue(current, name, Number(field.value)), expectedVersion: current.version, reason: reason }
    return change('/v1/settings', 'PUT', body, until)
  })
}

function previewWords(answer) {
  if (answer.change.change === 'neutral') return 'Changes nothing.'
  const hidden = answer.wouldHide.incidents.length
  const direction = answer.change.change === 'loosen' ? 'Loosens (needs the role tuner, ends by itself). ' : 'Tightens. '
  if (answer.wouldHide.notJudged.length > 0) return direction + 'What it would have hidden cannot be told in advance.'
  if (answer.change.change === 'tighten') return direction
  return direction + (hidden === 0 ? 'None of the last ' + answer.wouldHide.looked + ' incidents would have been missed.'
    : hidden + ' of the last ' + answer.wouldHide.looked + ' incidents would have been missed or not acted on.')
}

async function auditPage() {
  if (!may('responder')) return [el('h1', { class: 'head' }, 'Audit'), empty('Reading the audit needs the role responder.')]
  const answer = await api('/v1/audit/last?limit=200')
  return [
    el('h1', { class: 'head' }, 'Audit'),
    answer.items.length === 0 ? empty('Nothing has been changed yet.') : flush(null, table(
      [{ class: 'number', content: '#' }, 'When (UTC)', 'Who', 'Did', 'To', 'Why', 'Hash'],
      answer.items.map(function (entry) {
        return [num(String(entry.seq)), { class: 'nowrap', content: when(entry.time) }, text(entry.actor), text(entry.action), text(entry.target),
          text(entry.said === undefined ? entry.reason : entry.said === null ? '(forgotten)' : entry.said), el('span', { class: 'id', title: entry.hash }, entry.hash.slice(0, 10))]
      }), 'Audit')),
  ]
}
`
