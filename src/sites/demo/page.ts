import { printable } from '../../printable.ts'
import { escapeHtml, htmlPage } from '../page.ts'
import type { CertificateFacts, ConnectionFacts } from './connection-facts.ts'

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
