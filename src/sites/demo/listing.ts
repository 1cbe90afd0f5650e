import { printable } from '../../printable.ts'
import type { Listing } from '../static-files.ts'
import { escapeHtml, htmlPage } from '../page.ts'

/** A folder as a page of links, which lead nowhere but below the folder or to the one above. */
export function listingPage({ segments, entries, cut }: Listing): string {
  const title = titleOf(segments)
  const links = [...(segments.length === 0 ? [] : ['../']), ...entries].map((entry) => {
    // Without `./` before it, a name such as `a:b` would be a URL of its own.
    const href = entry === '../' ? entry : `./${encodeURIComponent(entry).replace(/%2F$/, '/')}`
    return `<dd><a href="${escapeHtml(href)}">${escapeHtml(printable(entry))}</a></dd>`
  })
  const more = cut ? '<p>There are more, which are not shown.</p>\n' : ''
  const heading = `<h1>${escapeHtml(title)}</h1>`
  return htmlPage(title, `${heading}\n<section><dl>\n${links.join('\n')}\n</dl></section>\n${more}`)
}

/** A folder as text: one name a line. */
export function listingText({ entries, cut }: Listing): string {
  const lines = entries.map((entry) => `${printable(entry)}\n`)
  return `${lines.join('')}${cut ? '(and more)\n' : ''}`
}

const titleOf = (segments: readonly string[]): string =>
  printable(segments.length === 0 ? '/' : `/${segments.join('/')}/`)
