/** Incidents with their explanation, and decisions with what can be done about them. */
export const incidents = `
const STATUS_KIND = {
  'in-force': 'good', pending: 'medium', 'awaiting-approval': 'high', failed: 'critical', withheld: 'medium', observed: 'low',
}
const ON_TIMEOUT = { drop: 'dropped', act: 'carried out', extend: 'asked again' }
const PROOF_KIND = { held: 'good', leaking: 'critical', untested: 'low' }

function last(incident) { return incident.transitions[incident.transitions.length - 1] }
function stateWord(incident) { return incident.state === 'open' ? pill('open', 'high') : pill('resolved', 'good') }

async function incidentsPage(parts, parameters) {
  const all = parameters.get('show') === 'all'
  const page = await api('/v1/incidents?' + query({ limit: '100', state: all ? '' : 'open', cursor: parameters.get('from') }))
  const rows = page.items.map(function (incident) {
    const alert = last(incident)
    return [
      pill(incident.severity, incident.severity),
      [link(path('incidents', incident.id), el('strong', {}, text(incident.entity))),
        el('div', {}, text(alert ? alert.summary : ''))],
      stateWord(incident),
      { class: 'nowrap', content: [when(incident.openedAt), el('div', { class: 'small muted' }, distance(incident.openedAt))] },
      incident.decisions.map(function (d) {
        return el('div', {}, d.decision.action + ' ', pill(d.status, STATUS_KIND[d.status]))
      }),
    ]
  })
  return [
    el('div', { class: 'row between head' }, el('h1', {}, 'Incidents'),
      el('div', { class: 'choice', role: 'group', 'aria-label': 'Which incidents' },
        el('a', { href: '#/incidents', 'aria-current': !all && 'true' }, 'Open'),
        el('a', { href: '#/incidents?show=all', 'aria-current': all && 'true' }, 'All'))),
    rows.length === 0
      ? empty(all ? 'No incidents yet.' : 'Nothing open. Every caller behaves like itself.')
      : flush(null, table(['Severity', 'Who and what', 'State', 'Opened (UTC)', 'Decisions'], rows, 'Incidents')),
    page.nextCursor && link('#/incidents?' + query({ show: all ? 'all' : '', from: page.nextCursor }), 'Older incidents'),
  ]
}

/** Where the observation lies against the normal range, on a logarithmic scale. */
function rangeMark(reason) {
  const scale = function (v) { return Math.log10(Math.max(0, v) + 1) }
  const top = Math.max(scale(reason.observed), scale(reason.range[1]), 0.3) * 1.08
  const x = function (v) { return 6 + 138 * Math.min(1, scale(v) / top) }
  const from = x(reason.range[0])
  return svg('svg', { class: 'span', viewBox: '0 0 150 22', 'aria-hidden': 'true' },
    svg('rect', { class: 'axis', x: 6, y: 10, width: 138, height: 2 }),
    svg('rect', { class: 'band', x: from, y: 5, width: Math.max(3, x(reason.range[1]) - from), height: 12, rx: 3 }),
    svg('rect', { class: 'expected', x: x(reason.expected) - 1, y: 4, width: 2, height: 14 }),
    svg('circle', { class: 'observed', cx: x(reason.observed), cy: 11, r: 5 }))
}

/** What is new to a caller has no size: what is told is how often it does so. */
const SHARE_OF_CALLS = 'share of calls'

function shareWords(share) { return share < 0.01 ? 'less than 1 %' : Math.round(share * 100) + ' %' }

function whyCells(r) {
  if (r.unit === SHARE_OF_CALLS) return [num('new here'), num('usually in ' + shareWords(r.expected) + ' of its calls'), num('–'), '–']
  return [
    num([number(r.observed) + ' ', text(r.unit)]), num(number(r.expected)),
    num(number(r.range[0]) + ' – ' + number(r.range[1])), rangeMark(r),
  ]
}

function whyTable(reasons) {
  const right = function (words) { return { class: 'number', content: words } }
  return flush('Why', table(
    ['Feature', right('Observed'), right('Expected'), right('99 % range'), 'Against the range', right('Surprise'), right('Share'), 'Compared with'],
    reasons.map(function (r) {
      return [
        [el('strong', {}, text(r.feature)), el('div', { class: 'small muted' }, text(r.detector))],
        ...whyCells(r), num(el('span', { title: 'one in 10^' + number(r.surprise) }, number(r.surprise))),
        num(Math.round(r.weight * 100) + ' %'), text(r.comparedWith),
      ]
    }), 'Why: what was observed and what was expected'))
}

function timeline(incident) {
  return card('What happened', el('ol', { class: 'timeline' }, incident.transitions.map(function (t) {
    return el('li', { class: t.transition === 'resolved' ? 'resolved' : t.severity },
      el('div', { class: 'row' }, el('strong', {}, t.transition), pill(t.severity, t.severity)),
      el('div', { class: 'small muted' }, when(t.time), ' UTC, ' + number(t.events) + ' events'), text(t.summary))
  })))
}

function closeButtons(incident) {
  if (incident.state !== 'open' || !may('responder')) return null
  const close = function (verdict) {
    return function (reason) {
      return api('/v1/incidents/' + encodeURIComponent(incident.id) + '/close', { method: 'POST', body: { verdict: verdict, reason: reason } })
    }
  }
  return el('div', { class: 'row' },
    may('tuner') && button('Accept as normal', 'main', function () {
      ask('Accept as normal', 'Closes the incident, lifts its decisions and lets the engine learn this behaviour.', null, close('accept'))
    }),
    button('Dismiss', '', function () {
      ask('Dismiss', 'Closes the incident and lifts its decisions. What was seen is not learnt.', null, close('dismiss'))
    }))
}

async function incidentPage(parts) {
  const incident = await api('/v1/incidents/' + encodeURIComponent(parts[1]))
  const alert = last(incident)
  return [
    el('p', { class: 'small' }, link('#/incidents', '← Incidents')),
    el('div', { class: 'row between head' },
      el('div', {}, el('h1', {}, text(incident.entity)),
        el('div', { class: 'row' }, pill(incident.severity, incident.severity), stateWord(incident), incident.stale && pill('STALE', 'high'),
          alert && el('span', { class: 'muted small' }, alert.owasp.join(', ')))),
      closeButtons(incident)),
    alert && el('div', { class: 'card notice ' + (incident.state === 'open' ? 'bad' : '') }, text(alert.summary)),
    alert && alert.reasons.length > 0 && whyTable(alert.reasons),
    decisionTable(incident.decisions, 'Decisions'),
    el('div', { class: 'columns' },
      timeline(incident),
      card('Facts', facts([
        ['Principal', link(path('principals', incident.tenant, incident.entity), text(incident.entity))], ['Tenant', text(incident.tenant)],
        ['Opened', when(incident.openedAt)], ['Resolved', when(incident.resolvedAt)],
        ['Detectors', alert ? alert.detectors.join(', ') : '–'], ['Surprise', alert ? number(alert.surprise) : '–'],
        ['Score', alert ? String(alert.score) : '–'], ['Id', el('span', { class: 'id' }, text(incident.id))],
      ]))),
  ]
}

function decisionButtons(view) {
  if (!may('responder')) return null
  const id = encodeURIComponent(view.decision.id)
  const what = view.decision.action + ' of ' + view.decision.entity.id
  const post = function (verb) {
    return function (reason) { return api('/v1/decisions/' + id + '/' + verb, { method: 'POST', body: { reason: reason } }) }
  }
  return el('div', { class: 'row actions' },
    view.status === 'awaiting-approval' && button('Approve', 'main', function () {
      ask('Approve', 'Enforces the ' + what + ' at the gateways.', null, post('approve'))
    }),
    ['in-force', 'pending', 'awaiting-approval', 'failed'].includes(view.status) && button('Release', '', function () {
      ask('Release', 'Lifts the ' + what + ' at every gateway and restores what was there before.', null, post('release'))
    }))
}

/** What would stop with a decision. */
function blastWords(blast) {
  if (!blast || blast.share === null) return ''
  return ' · ' + shareWords(blast.share) + ' of the calls of its gateway'
}

/** Other names under which gateways hold the caller. */
function aliasLine(view) {
  if (view.aliases.length === 0) return null
  return el('div', { class: 'small' }, 'also ', view.aliases.map(function (a, i) {
    return [i > 0 && ', ', text(a.principal), ' at ', text(a.gateway), ' ', pill(a.state, a.state === 'held' ? 'good' : a.state === 'pending' ? '' : 'critical')]
  }))
}

function receipts(view) {
  if (view.receipts.length === 0) return null
  return el('details', {}, el('summary', {}, view.receipts.length + (view.receipts.length === 1 ? ' receipt' : ' receipts')),
    el('ul', { class: 'plain small' }, view.receipts.map(function (r) {
      return el('li', {}, when(r.time), ' ', text(r.gateway), ' ' + r.operation + ' ',
        pill(r.outcome, r.outcome === 'done' ? 'good' : 'critical'), ' ', text(r.detail))
    })))
}

function decisionTable(views, title) {
  if (views.length === 0) return title ? card(title, el('p', { class: 'muted' }, 'None.')) : empty('No decisions.')
  return flush(title, table(['Status', 'What', 'Until (UTC)', 'Effective by (UTC)', 'Proof', ''], views.map(function (view) {
    const d = view.decision
    return [
      [pill(view.status, STATUS_KIND[view.status]), view.statusReason && el('div', { class: 'small muted' }, text(view.statusReason)),
        view.approval && el('div', { class: 'small' }, 'until ', when(view.approval.by), ', then ' + ON_TIMEOUT[view.approval.onTimeout])],
      [el('strong', {}, d.action + ' ', link(path('incidents', d.incident), text(d.entity.id))),
        d.limit && el('div', { class: 'small' }, 'at most ' + number(d.limit.requests) + (d.limit.requests === 1 ? ' request per ' : ' requests per ') + number(d.limit.windowSeconds) + ' s'),
        el('div', { class: 'small muted' }, text(d.reason), ' · ' + d.scope.kind + ' · ' + d.mode + blastWords(d.blast)), aliasLine(view), receipts(view)],
      { class: 'nowrap', content: [when(view.until), view.until && el('div', { class: 'small muted' }, distance(view.until))] },
      { class: 'nowrap', content: when(view.effectiveBy) },
      view.proof && [pill(view.proof.state, PROOF_KIND[view.proof.state]), view.proof.at && el('div', { class: 'small muted nowrap' }, when(view.proof.at))],
      decisionButtons(view),
    ]
  }), title || 'Decisions'))
}

async function decisionsPage(parts, parameters) {
  const page = await api('/v1/decisions?' + query({ limit: '100', cursor: parameters.get('from') }))
  return [el('h1', { class: 'head' }, 'Decisions'), decisionTable(page.items, null),
    page.nextCursor && link('#/decisions?' + query({ from: page.nextCursor }), 'Older decisions')]
}
`
