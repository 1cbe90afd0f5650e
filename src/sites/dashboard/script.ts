/**
 * The script of the dashboard. Whatever comes from the daemon becomes text of elements, never HTML. The
 * token leaves the URL at once, and stays in this tab.
 */
export const script = `
'use strict'
const fragment = new URLSearchParams(location.hash.slice(1))
if (fragment.has('token')) {
  sessionStorage.setItem('token', fragment.get('token'))
  history.replaceState(null, '', location.pathname)
}
const byId = (id) => document.getElementById(id)
const say = (text) => { byId('status').textContent = text }

async function ask(name, body) {
  const response = await fetch('/api/' + name, {
    method: body === undefined ? 'GET' : 'POST',
    headers: {
      Authorization: 'Bearer ' + (sessionStorage.getItem('token') ?? ''),
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  const answer = await response.json()
  if (!response.ok) {
    const { message, hint } = answer.error ?? { message: response.statusText, hint: null }
    throw Object.assign(new Error(hint ? message + ' (' + hint + ')' : message), { status: response.status })
  }
  return answer
}

function element(tag, content, attributes = {}) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  made.append(...(Array.isArray(content) ? content : [content]))
  return made
}

/** Fills a table, but only where something changed: a screen reader and a selection are left alone. */
function fill(id, rows, none) {
  const body = byId(id)
  const key = JSON.stringify(rows, (name, value) => (typeof value === 'function' ? undefined : value))
  if (body.dataset.key === key) return
  const focused = document.activeElement?.dataset?.serial
  body.dataset.key = key
  const titles = [...body.parentElement.querySelectorAll('th')].map((each) => each.textContent)
  body.replaceChildren(
    ...(rows.length === 0 ? [element('tr', element('td', none, { colspan: titles.length }))] : []),
    ...rows.map((cells) =>
      element('tr', cells.map((cell, i) => {
        const { text, kind = '', link, button, more } = typeof cell === 'object' ? cell : { text: String(cell) }
        const content = button ? makeButton(cell) : more ? makeDetails(cell) : link ? element('a', text, { href: link }) : text
        return element('td', content, { 'data-label': titles[i], ...(kind ? { class: kind } : {}) })
      })),
    ),
  )
  if (focused) body.querySelector('button[data-serial="' + focused + '"]')?.focus()
}

/** Which requests are open stays so when newer ones come. */
const opened = new Set()
function makeDetails({ text, more, id }) {
  const made = element('details', [element('summary', text), element('pre', more, { tabindex: '0', 'aria-label': 'Headers' })])
  made.open = opened.has(id)
  made.addEventListener('toggle', () => (made.open ? opened.add(id) : opened.delete(id)))
  return made
}

const headers = (fields) => fields.reduce((all, text, i) => all + (i % 2 === 0 ? text + ': ' : text + '\\n'), '')

function makeButton({ text, button, label }) {
  const made = element('button', text, { type: 'button', 'aria-label': label, 'data-serial': button })
  made.addEventListener('click', async () => {
    made.disabled = true
    say('Renewing…')
    try {
      const { renewals } = await ask('renew', { serialNumber: button })
      const [first] = renewals
      say(first?.outcome === 'renewed' ? 'Renewed ' + label.replace('Renew ', '') + '.' : 'Not renewed: ' + (first?.reason ?? 'nothing was found') + '.')
    } catch (error) {
      say('Not renewed: ' + error.message)
    }
    made.disabled = false
    update()
  })
  return made
}

const number = (text, kind = '') => ({ text, kind: ('number ' + kind).trim() })
const day = (text) => text.slice(0, 10)
const milliseconds = (value) => (value === null ? '–' : value < 10 ? value.toFixed(1) + ' ms' : Math.round(value) + ' ms')

function show({ daemon, scopes, certificates, routes, requests, log, more }) {
  byId('daemon').textContent =
    'The daemon (pid ' + daemon.pid + ') runs since ' + new Date(daemon.since).toLocaleString() +
    ', in ' + Math.round(daemon.memoryBytes / 1048576) + ' MiB.' +
    (daemon.nextRenewal ? ' Next renewal: ' + new Date(daemon.nextRenewal).toLocaleString() + '.' : '')
  fill('routes-rows', routes.map((each) => [
    each.url ? { text: each.place, link: each.url } : each.place,
    each.to,
    each.owner,
    each.listens ? { text: 'answers', kind: 'good' } : { text: 'does not listen', kind: 'bad' },
    number(each.requests),
    number(milliseconds(each.median)),
  ]), 'No routes. Add one: rootling proxy add shop 3000')
  fill('requests-rows', requests.map((each) => [
    new Date(each.time).toLocaleTimeString(),
    {
      text: (each.status === 101 ? 'WebSocket' : each.method) + ' ' + each.host + each.path + (each.hint ? ' – ' + each.hint : ''),
      more: headers(each.fields) + '\\n' + (each.status ?? '') + '\\n' + headers(each.answered),
      id: each.time + each.path,
    },
    { text: each.status ?? 'broken off', kind: each.status === null || each.status >= 500 ? 'bad' : '' },
    number(milliseconds(each.milliseconds)),
    number(each.octets),
  ]), 'No requests yet.')
  fill('certificates-rows', certificates.map((each) => [
    each.names.join(', '),
    day(each.notAfter),
    number(each.standing === 'current' ? each.daysLeft : each.standing, each.standing === 'current' ? '' : 'bad'),
    each.certPath ?? '–',
    each.certPath ? { text: 'Renew', button: each.serialNumber, label: 'Renew ' + each.names[0] } : '–',
  ]), 'No certificates. Issue one: rootling issue localhost')
  fill('scopes-rows', scopes.map((each) => [
    each.name,
    each.constraints === null ? { text: 'any name', kind: 'bad' } : [...each.constraints.dns, ...each.constraints.ip].join(', '),
    day(each.notAfter),
    each.fingerprint,
  ]), 'No authority. Make one: rootling install')
  const lines = log.join('\\n')
  const shown = byId('log-lines')
  if (shown.textContent !== lines) {
    const wasAtEnd = shown.scrollTop + shown.clientHeight >= shown.scrollHeight - 20
    shown.textContent = lines
    if (wasAtEnd || byId('all').hidden) setTimeout(() => { shown.scrollTop = shown.scrollHeight })
  }
  byId('all').hidden = false
}

let timer
async function update() {
  clearTimeout(timer)
  try {
    show(await ask('overview'))
    if (/^(?:The daemon|This page)/.test(byId('status').textContent)) say('')
    timer = setTimeout(update, document.hidden ? 15000 : 2000)
  } catch (error) {
    byId('all').hidden = error.status === 401
    if (error.status === 401) {
      byId('daemon').textContent = ''
      say('This page needs its token. Open it by the command: rootling dashboard')
      return
    }
    say('The daemon does not answer: ' + error.message)
    timer = setTimeout(update, 3000)
  }
}
document.addEventListener('visibilitychange', () => { if (!document.hidden) update() })

/** Asks for something that takes a moment, when its button is pressed. */
function onDemand(name, done) {
  const button = byId(name + '-ask')
  button.addEventListener('click', async () => {
    button.disabled = true
    say('Asking…')
    try {
      done(await ask(name))
      say('')
    } catch (error) {
      say(error.message)
    }
    button.disabled = false
    button.focus()
  })
}
onDemand('stores', ({ stores }) =>
  fill('stores-rows', stores.map((each) => [
    each.store.title,
    { text: each.outcome + (each.reason ? ': ' + each.reason : ''), kind: /^(?:trusted|unchanged|present)$/.test(each.outcome) ? 'good' : '' },
  ]), 'No trust stores were found.'))
onDemand('findings', ({ findings }) =>
  fill('findings-rows', findings.map((each) => [
    { text: each.sentence, kind: each.severity === 'error' ? 'bad' : '' },
    each.command ?? each.remedy ?? '–',
  ]), 'Nothing was found.'))
update()
`
