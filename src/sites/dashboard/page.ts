import { pageOf, type Page } from '../page.ts'
import { script } from './script.ts'

const style = `
body { padding-top: 2rem }
main { max-width: 72rem }
header p { margin-bottom: 1.25rem }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: 0 0 1.25rem }
a { color: var(--leaf) }
section { padding: 1rem 1.25rem; overflow: hidden }
section h2 { display: flex; align-items: center; justify-content: space-between; gap: 1rem }
section p { margin: .25rem 0 }
table { width: 100%; border-collapse: collapse; font-size: .9rem }
th, td { padding: .35rem .75rem .35rem 0; text-align: left; vertical-align: top; overflow-wrap: anywhere }
th { color: var(--dim); font-weight: 600; white-space: nowrap }
details { border: 0 }
tbody tr { border-top: 1px solid var(--line) }
.number { text-align: right; white-space: nowrap }
.good { color: var(--leaf) }
.bad { color: var(--bad); font-weight: 600 }
:root { --bad: #b3261e }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80 } }
button { padding: .3rem .7rem; border: 1px solid var(--leaf); border-radius: .4rem; background: none; color: var(--leaf); font: inherit; font-size: .85rem; cursor: pointer }
button:disabled { border-color: var(--line); color: var(--dim); cursor: default }
button:focus-visible, a:focus-visible, summary:focus-visible, pre:focus-visible { outline: 3px solid var(--leaf); outline-offset: 2px }
pre { max-height: 18rem; margin: 0; overflow: auto; font: .8rem/1.5 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere }
summary { cursor: pointer }
[hidden] { display: none !important }
@media (max-width: 44rem) {
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
  tr, td { display: block }
  td { padding: .1rem 0 }
  td[data-label]::before { content: attr(data-label) ": "; color: var(--dim) }
  tbody tr { padding: .5rem 0 }
  .number { text-align: left }
}
`

const part = (id: string, title: string, content: string, button = ''): string =>
  `<section id="${id}" aria-labelledby="${id}-title"><h2 id="${id}-title"><span>${title}</span>${button}</h2>${content}</section>`

/** The titles of columns of numbers. */
const numbers = new Set(['Requests', 'Median', 'Took', 'Octets', 'Days left'])

const table = (id: string, titles: readonly string[]): string =>
  `<table><thead><tr>${titles.map((title) => `<th scope="col"${numbers.has(title) ? ' class="number"' : ''}>${title}</th>`).join('')}</tr></thead><tbody id="${id}"></tbody></table>`

/** The page of the dashboard, which is the same for everybody: its script asks for what it shows. */
export const dashboardPage = (): Page =>
  pageOf({
    title: 'Rootling',
    style,
    script,
    main: `<header><h1>Rootling</h1><p id="daemon">Asking the daemon…</p></header>
<p id="status" role="status"></p>
<div id="all" hidden>
<nav aria-label="Parts of this page"><a href="#routes">Routes</a><a href="#requests">Requests</a><a href="#certificates">Certificates</a><a href="#scopes">Roots</a><a href="#stores">Trust stores</a><a href="#findings">Findings</a><a href="#log">Log</a></nav>
${part('routes', 'Routes', table('routes-rows', ['Host', 'Goes to', 'From', 'Upstream', 'Requests', 'Median']))}
${part('requests', 'Last requests', table('requests-rows', ['Time', 'Request', 'Status', 'Took', 'Octets']))}
${part('certificates', 'Certificates', table('certificates-rows', ['Names', 'Until', 'Days left', 'File', 'Renew']))}
${part('scopes', 'Roots', table('scopes-rows', ['Scope', 'May sign', 'Until', 'SHA-256 fingerprint']))}
${part('stores', 'Trust stores', table('stores-rows', ['Store', 'State']), '<button id="stores-ask" type="button">Ask them</button>')}
${part('findings', 'Findings', table('findings-rows', ['What', 'Remedy']), '<button id="findings-ask" type="button">Run doctor</button>')}
${part('log', 'Log', '<pre id="log-lines" tabindex="0" aria-label="The last lines of the daemon’s log"></pre>')}
</div>`,
  })
