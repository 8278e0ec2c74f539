/** Which page is shown, and keeping it fresh. */
export const app = String.raw`
const REFRESH_MS = 5000
const PAGES = [
  ['incidents', 'Incidents'], ['decisions', 'Decisions'], ['principals', 'Principals'], ['settings', 'Settings'], ['audit', 'Audit'],
]
let turn = 0
let shown = ''

function render(parts) {
  if (parts[0] === 'incidents') return parts[1] ? incidentPage : incidentsPage
  if (parts[0] === 'principals') return parts[2] ? principalPage : principalsPage
  return { decisions: decisionsPage, settings: settingsPage, audit: auditPage }[parts[0]] || incidentsPage
}

function header(current, status) {
  const top = document.getElementById('top')
  const signedIn = me !== null
  const bad = status === null ? [] : status.checks.filter(function (c) { return !c.ok })
  const words = status === null ? 'State unknown' : bad.length === 0 ? 'Ready' : 'Not ready: ' + bad.map(function (c) { return c.name }).join(', ')
  top.replaceChildren(el('div', { class: 'bar' },
    el('a', { class: 'brand', href: '#/incidents' }, el('img', { src: '/dashboard.svg', alt: '' }), 'Curfew'),
    signedIn && el('nav', { 'aria-label': 'Pages' }, PAGES.map(function (p) {
      return el('a', { href: '#/' + p[0], 'aria-current': p[0] === current && 'page' }, p[1])
    })),
    signedIn && el('div', { class: 'who' },
      el('span', { class: 'row small', title: bad.map(function (c) { return c.name + ': ' + plain(c.detail) }).join('; ') },
        el('span', { class: 'dot ' + (status !== null && bad.length === 0 ? 'good' : 'bad'), 'aria-hidden': 'true' }), words),
      el('span', { class: 'small muted' }, text(me.name), ' (' + me.role + ')'),
      button('Sign out', 'quiet', function () { sessionStorage.removeItem(KEY); me = null; shown = ''; show() }))))
}

function busy() {
  const active = document.activeElement
  return document.querySelector('dialog') !== null || document.querySelector('details[open]') !== null
    || (active && main().contains(active) && active !== main()) || document.hidden
}
function main() { return document.getElementById('main') }

async function show(refresh) {
  const mine = ++turn
  const address = location.hash.replace(/^#\/?/, '') || 'incidents'
  const [where, search] = address.split('?')
  let parts = ['incidents']
  try { parts = where.split('/').map(decodeURIComponent) } catch { parts = ['incidents'] }
  let content
  try {
    if (!sessionStorage.getItem(KEY)) { header('', null); main().replaceChildren(signIn('')); shown = ''; return }
    if (me === null) me = await api('/v1/me')
    const status = await api('/v1/status').catch(function () { return null })
    content = await render(parts)(parts, new URLSearchParams(search || ''))
    if (mine !== turn) return
    header(parts[0], status)
  } catch (problem) {
    if (mine !== turn) return
    if (problem.status === 401) {
      sessionStorage.removeItem(KEY)
      me = null
      header('', null)
      content = [signIn('This token is not accepted.')]
    } else {
      content = [card('This could not be shown', el('p', { class: 'error', role: 'alert' }, problem.message))]
    }
  }
  const next = el('div', {}, content)
  if (refresh && (busy() || next.isEqualNode(main().firstElementChild))) return
  main().replaceChildren(next)
  if (!refresh && shown !== '' && shown !== address) { main().focus(); scrollTo(0, 0) }
  shown = address
  const heading = main().querySelector('h1')
  document.title = (heading ? heading.textContent + ' · ' : '') + 'Curfew'
}

takeToken()
document.querySelector('.skip').onclick = function (event) { event.preventDefault(); main().focus() }
addEventListener('hashchange', function () { takeToken(); show() })
setInterval(function () {
  if (me !== null && !busy() && !/^#\/settings/.test(location.hash)) show(true)
}, REFRESH_MS)
show()
`
