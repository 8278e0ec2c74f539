/** The token, calls to the API, and the dialog that asks for a reason. */
export const session = String.raw`
const ROLES = ['viewer', 'responder', 'tuner', 'admin']
const KEY = 'curfew-token'
let me = null

/** A token handed over in the fragment moves to this tab's storage and leaves the address bar. */
function takeToken() {
  const match = /^#token=(.+)$/.exec(location.hash)
  if (!match) return
  try { sessionStorage.setItem(KEY, decodeURIComponent(match[1])) } catch { sessionStorage.removeItem(KEY) }
  history.replaceState(null, '', location.pathname + '#/incidents')
}

function may(role) { return me !== null && ROLES.indexOf(me.role) >= ROLES.indexOf(role) }

async function api(url, options) {
  const settings = options || {}
  const headers = { authorization: 'Bearer ' + (sessionStorage.getItem(KEY) || '') }
  if (settings.body !== undefined) headers['content-type'] = 'application/json'
  const response = await fetch(url, {
    method: settings.method || 'GET', headers: headers,
    body: settings.body === undefined ? undefined : JSON.stringify(settings.body),
  })
  const answer = await response.json().catch(function () { return null })
  if (response.ok) return answer
  const problem = new Error((answer && answer.error && answer.error.message) || 'The server answered ' + response.status)
  problem.status = response.status
  throw problem
}

function query(parameters) {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(parameters)) if (value) search.set(name, value)
  return search.toString()
}

function announce(words) { document.getElementById('announce').textContent = plain(words) }

/** Asks before a change. "extra" are nodes shown above the reason; "act" gets the reason and does it. */
function ask(title, explanation, extra, act) {
  const reason = el('textarea', { id: 'reason', required: true, maxlength: '500' })
  const error = el('p', { class: 'error', role: 'alert' })
  const go = el('button', { type: 'submit', class: 'main' }, title)
  const dialog = el('dialog', { 'aria-labelledby': 'ask-title' })
  const form = el('form', {
    onsubmit: async function (event) {
      event.preventDefault()
      go.disabled = true
      error.textContent = ''
      try {
        await act(reason.value.replace(/\s+/g, ' ').trim())
        dialog.close()
        announce(title + ': done')
        await show()
      } catch (problem) {
        error.textContent = plain(problem.message)
        go.disabled = false
      }
    },
  },
  el('h2', { id: 'ask-title' }, title), el('p', {}, explanation), extra,
  el('label', { for: 'reason' }, 'Reason (kept in the audit)'), reason, error,
  el('div', { class: 'row' }, button('Cancel', '', function () { dialog.close() }), go))
  dialog.append(form)
  dialog.addEventListener('close', function () { dialog.remove() })
  document.body.append(dialog)
  dialog.showModal()
  const first = dialog.querySelector('input, textarea')
  if (first) first.focus()
}

function signIn(message) {
  const field = el('input', { id: 'token', type: 'password', autocomplete: 'off', required: true, spellcheck: 'false' })
  return el('section', { class: 'card narrow' },
    el('h1', {}, 'Sign in'),
    el('p', { class: 'muted' }, 'Paste an access token. It stays in this browser tab and is forgotten when the tab closes.'),
    message && el('p', { class: 'error', role: 'alert' }, message),
    el('form', {
      onsubmit: function (event) {
        event.preventDefault()
        sessionStorage.setItem(KEY, field.value.trim())
        me = null
        show()
      },
    },
    el('label', { for: 'token' }, 'Access token'), field,
    el('div', { class: 'row after' }, el('button', { type: 'submit', class: 'main' }, 'Sign in'))))
}
`
