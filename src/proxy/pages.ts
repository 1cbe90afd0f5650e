import { createHash } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import { printable, shortened } from '../printable.ts'
import { hasNoBody, type ProxyClient, type RawFields } from './client.ts'
import { valueOf } from './fields.ts'

/** What the proxy itself says to a client: a page for browsers, text for scripts. */
export interface Page {
  readonly status: number
  /** A type of RFC 9209 §2.3, so that scripts can tell this answer from one of the app. */
  readonly error: string
  readonly sentence: string
  /** What to do or type, each a line. */
  readonly fixes?: readonly string[]
  /** Shown as a list; those that are links have an address. */
  readonly list?: readonly { readonly text: string; readonly href: string | null }[]
  readonly fields?: RawFields
}

const style = `:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{max-width:42rem;margin:12vh auto 0;padding:0 1.25rem}
h1{font-size:1.25rem}code{font:.9em ui-monospace,monospace;overflow-wrap:anywhere}
p,li{overflow-wrap:anywhere}`
const styleHash = createHash('sha256').update(style).digest('base64')
const policy = [
  "default-src 'none'",
  `style-src 'sha256-${styleHash}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** Answers by a page of the proxy's own: HTML where the client asks for it, otherwise text. */
export function answerPage(client: ProxyClient, page: Page): void {
  const { status, error, fields = [] } = page
  const asHtml = /\btext\/html\b/i.test(valueOf(client.raw, 'accept') ?? '')
  const body = Buffer.from(asHtml ? html(page) : text(page))
  const own = Object.entries({
    'Content-Type': `text/${asHtml ? 'html' : 'plain'}; charset=utf-8`,
    'Content-Length': String(body.length),
    'Cache-Control': 'no-store',
    'Content-Security-Policy': policy,
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
    Vary: 'Accept',
    'Proxy-Status': `rootling; error=${error}`,
  }).flat()
  const ends = hasNoBody(client.method, status)
  client.respond(status, STATUS_CODES[status] ?? '', [...own, ...fields], ends)
  client.discard()
  if (!ends) client.octets += body.length
  client.end(ends ? null : body, [])
}

const heading = (status: number): string => `${status} ${STATUS_CODES[status] ?? ''}`

function text({ status, sentence, fixes = [], list = [] }: Page): string {
  const items = list.map((item) => `- ${item.text}`)
  return `${[heading(status), sentence, ...items, ...fixes].map((line) => printable(line)).join('\n')}\n`
}

function html({ status, sentence, fixes = [], list = [] }: Page): string {
  const items = list.map(({ text: shown, href }) =>
    href === null
      ? `<li>${escaped(shown)}</li>`
      : `<li><a href="${escaped(href)}">${escaped(shown)}</a></li>`,
  )
  return [
    '<!doctype html>',
    '<html lang="en">',
    `<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">`,
    `<title>${escaped(heading(status))}</title><style>${style}</style></head>`,
    `<body><main><h1>${escaped(heading(status))}</h1>`,
    `<p>${escaped(sentence)}</p>`,
    ...(items.length === 0 ? [] : ['<ul>', ...items, '</ul>']),
    ...fixes.map((fix) => `<p>${withCode(fix)}</p>`),
    '</main></body></html>',
    '',
  ].join('\n')
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

const escaped = (value: string): string =>
  shortened(printable(value), 2_000).replaceAll(
    /[&<>"']/g,
    (character) => entities[character] ?? '',
  )

/** Shows what stands between backquotes as code. */
const withCode = (value: string): string =>
  escaped(value).replaceAll(/`([^`]*)`/g, '<code>$1</code>')
