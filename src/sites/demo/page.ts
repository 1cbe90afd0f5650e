import { createHash } from 'node:crypto'
import { printable } from '../../printable.ts'
import type { CertificateFacts, ConnectionFacts } from './connection-facts.ts'

const style = `
:root { color-scheme: light dark; --ink: #1c2420; --dim: #5d6b63; --line: #dfe6e1; --paper: #f6f8f6; --card: #fff; --leaf: #1f7a4d }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6ede8; --dim: #93a299; --line: #2b352f; --paper: #121614; --card: #1a201d; --leaf: #5cc98f }
}
* { box-sizing: border-box }
body { margin: 0; padding: 4rem 1rem; background: var(--paper); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif }
main { max-width: 44rem; margin: 0 auto }
h1 { margin: 0; font-size: 1.75rem; font-weight: 650; letter-spacing: -.015em; line-height: 1.2 }
h1::before { content: ""; display: inline-block; width: .55em; height: .55em; margin-right: .5em; border-radius: 0 100% 0 100%; background: var(--leaf) }
p { margin: .5rem 0 2rem; color: var(--dim) }
section { margin: 0 0 1rem; padding: 1.25rem 1.5rem; border: 1px solid var(--line); border-radius: .75rem; background: var(--card) }
h2 { margin: 0 0 .75rem; color: var(--leaf); font-size: .8rem; font-weight: 600; letter-spacing: .06em; text-transform: uppercase }
dl { display: grid; grid-template-columns: minmax(7rem, 11rem) 1fr; gap: .45rem 1.25rem; margin: 0 }
dt { color: var(--dim) }
dd { margin: 0; overflow-wrap: anywhere }
code { font: .875rem/1.5 ui-monospace, monospace }
@media (max-width: 34rem) { body { padding-top: 2rem } dl { grid-template-columns: 1fr; gap: 0 } dd { margin-bottom: .6rem } }
`

/** The only style that the Content-Security-Policy of the page permits. */
export const styleSource = `'sha256-${createHash('sha256').update(style).digest('base64')}'`

const heading = 'This connection is secured'

/** The demo page: one document that loads nothing, with everything from outside escaped. */
export function demoPage(facts: ConnectionFacts): string {
  const lines = sectionsOf(facts).map(([title, rows]) => section(title, rows))
  return htmlPage(
    `Secured with ${facts.protocol}`,
    `<h1>${heading}</h1>
<p>Rootling answered over ${escapeHtml(`${facts.http} and ${facts.protocol}`)}. This is what your client and the server agreed on.</p>
${lines.join('\n')}`,
  )
}

/** The same as the demo page says, as plain text, with everything from outside made harmless. */
export function demoText(facts: ConnectionFacts): string {
  const blocks = sectionsOf(facts).map(([title, rows]) => {
    const width = Math.max(...rows.map(([label]) => label.length)) + 2
    const lines = rows.map(([label, value]) => {
      const text = typeof value === 'string' ? value : value.code
      return `  ${label.padEnd(width)}${printable(text)}`
    })
    return [title, ...lines].join('\n')
  })
  return `${[`${heading}.`, ...blocks].join('\n\n')}\n`
}

/** A document with the one style that the Content-Security-Policy permits. */
export function htmlPage(title: string, main: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
<main>
${main}
</main>
</html>
`
}

function sectionsOf(facts: ConnectionFacts): [title: string, rows: Row[]][] {
  const { certificate, client } = facts
  return [
    [
      'Connection',
      [
        ['Protocol', facts.protocol],
        ['Cipher', code(facts.cipher)],
        ['Key exchange', facts.group ?? `ephemeral, ${facts.groupsOffered.join(' or ')}`],
        ['HTTP', facts.alpn === null ? facts.http : `${facts.http} (ALPN ${facts.alpn})`],
        ['Server name', facts.serverName ?? 'none sent'],
        ['Session', facts.resumed ? 'resumed' : 'new'],
      ],
    ],
    ...(client === null ? [] : [clientSection(client)]),
    ...(certificate === null ? [] : [serverSection(certificate)]),
  ]
}

const clientSection = (client: CertificateFacts): [string, Row[]] => [
  'Client certificate',
  [
    ['Names', client.subjectAltName.join(', ') || 'none'],
    ['Subject', client.subject],
    ['Issued by', client.issuer],
    ['Not after', client.notAfter],
    ['Serial number', code(client.serialNumber)],
    ['SHA-256 fingerprint', code(client.fingerprint)],
  ],
]

const serverSection = (certificate: CertificateFacts): [string, Row[]] => [
  'Server certificate',
  [
    ['Valid for', certificate.subjectAltName.join(', ')],
    ['Issued by', certificate.issuer],
    ['Not before', certificate.notBefore],
    ['Not after', certificate.notAfter],
    ['Serial number', code(certificate.serialNumber)],
    ['SHA-256 fingerprint', code(certificate.fingerprint)],
  ],
]

type Row = [label: string, value: string | { code: string }]

function section(title: string, rows: Row[]): string {
  const lines = rows.map(([label, value]) => {
    const html =
      typeof value === 'string' ? escapeHtml(value) : `<code>${escapeHtml(value.code)}</code>`
    return `<dt>${escapeHtml(label)}</dt><dd>${html}</dd>`
  })
  return `<section><h2>${escapeHtml(title)}</h2><dl>\n${lines.join('\n')}\n</dl></section>`
}

const code = (text: string): { code: string } => ({ code: text })

const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Escapes text for HTML, also within quoted attributes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] as string)
}
