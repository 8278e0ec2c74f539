/** Building elements and writing numbers, times and foreign text. Data only ever becomes text nodes. */
export const elements = String.raw`
const SVG = 'http://www.w3.org/2000/svg'

/** Makes characters visible that could hide or reorder what follows. */
function plain(value) {
  return String(value).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, function (c) {
    return '\\u' + c.codePointAt(0).toString(16).padStart(4, '0')
  })
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue
    if (name === 'onclick' || name === 'onsubmit' || name === 'oninput' || name === 'onchange') node[name] = value
    else node.setAttribute(name, value === true ? '' : String(value))
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue
    node.append(child instanceof Node ? child : plain(child))
  }
  return node
}

function el(tag, attributes, ...children) { return fill(document.createElement(tag), attributes, children) }
function svg(tag, attributes, ...children) { return fill(document.createElementNS(SVG, tag), attributes, children) }
function text(value) { return el('span', { class: 'text' }, value) }
function pill(word, kind) { return el('span', { class: 'pill ' + (kind || '') }, word) }

function number(value) {
  if (typeof value !== 'number') return '–'
  const digits = Math.abs(value) >= 100 || Number.isInteger(value) ? 0 : Math.abs(value) >= 1 ? 1 : 2
  return value.toLocaleString('en-GB', { maximumFractionDigits: digits })
}

/** A time as people read it, exact to the second and in UTC when pointed at. */
function when(iso) {
  if (!iso) return el('span', { class: 'muted' }, '–')
  const date = new Date(iso)
  if (Number.isNaN(date.getTime())) return text(iso)
  const shown = date.toISOString().slice(0, 10) + ' ' + date.toISOString().slice(11, 19)
  return el('time', { datetime: iso, title: shown + ' UTC, ' + date.toLocaleString() + ' here' }, shown)
}

function distance(iso) {
  const seconds = Math.round((new Date(iso).getTime() - Date.now()) / 1000)
  const size = Math.abs(seconds)
  const parts = size >= 172800 ? [Math.round(size / 86400), 'd'] : size >= 5400 ? [Math.round(size / 3600), 'h']
    : size >= 90 ? [Math.round(size / 60), 'min'] : [size, 's']
  return seconds >= 0 ? 'in ' + parts[0] + ' ' + parts[1] : parts[0] + ' ' + parts[1] + ' ago'
}

/** A table with a header row; cells are strings, nodes or { class, content }. */
function table(columns, rows, caption) {
  const cell = function (value) {
    const special = value && value.content !== undefined && !(value instanceof Node)
    return special ? el('td', { class: value.class }, value.content) : el('td', {}, value)
  }
  const head = columns.map(function (c) {
    return typeof c === 'string' ? el('th', { scope: 'col' }, c) : el('th', { scope: 'col', class: c.class }, c.content)
  })
  const body = rows.map(function (row) { return el('tr', {}, row.map(cell)) })
  return el('div', { class: 'scroll' },
    el('table', { 'aria-label': caption }, el('thead', {}, el('tr', {}, head)), el('tbody', {}, body)))
}

function num(value) { return { class: 'number', content: value } }
function card(title, ...children) { return el('section', { class: 'card' }, title && el('h2', {}, title), children) }
function flush(title, ...children) { return el('section', { class: 'card flush' }, title && el('h2', {}, title), children) }
function empty(words) { return el('div', { class: 'card muted' }, words) }
function facts(pairs) {
  return el('dl', { class: 'facts' }, pairs.map(function (p) { return [el('dt', {}, p[0]), el('dd', {}, p[1])] }))
}
function link(to, ...children) { return el('a', { href: to }, children) }
function button(words, kind, action) { return el('button', { type: 'button', class: kind, onclick: action }, words) }
function path(...parts) { return '#/' + parts.map(encodeURIComponent).join('/') }
`
