import { createHash } from 'node:crypto'

const baseStyle = `
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

export interface PageParts {
  readonly title: string
  /** HTML with everything from outside escaped. */
  readonly main: string
  /** Style of this page alone. */
  readonly style?: string
  readonly script?: string
}

/** A page and the sources of its style and script for a Content-Security-Policy. */
export interface Page {
  readonly html: string
  readonly styleSource: string
  readonly scriptSource: string
}

/** Makes a document that loads nothing. */
export function pageOf({ title, main, style = '', script }: PageParts): Page {
  const all = baseStyle + style
  return {
    html: `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title>
<style>${all}</style>
<main>
${main}
</main>
${script === undefined ? '' : `<script>${script}</script>\n`}</html>
`,
    styleSource: sourceOf(all),
    scriptSource: script === undefined ? "'none'" : sourceOf(script),
  }
}

const sourceOf = (text: string): string =>
  `'sha256-${createHash('sha256').update(text).digest('base64')}'`

/** A document with nothing but the style that all pages share. */
export const htmlPage = (title: string, main: string): string => pageOf({ title, main }).html

/** The source of that style. */
export const styleSource = sourceOf(baseStyle)

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
