// Builds dist-docs: a site of the README, the documents and the reference of the commands, as files
// that a browser opens from a disk too. A page asks for nothing but itself, and a link that leads
// nowhere fails the build.
import { createHash } from 'node:crypto'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Marked } from 'marked'
import { loadTable } from '../share/share.mjs'

const root = join(import.meta.dirname, '../..')

/** Builds the site into a directory, which is emptied before. Returns the paths of its pages. */
export async function buildSite(directory) {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const { commandsDocument } = await loadTable(root, version)
  const sources = new Map([
    ['README.md', readFileSync(join(root, 'README.md'), 'utf8')],
    ['docs/commands.md', commandsDocument()],
    ['SECURITY.md', readFileSync(join(root, 'SECURITY.md'), 'utf8')],
    ...filesBelow('docs')
      .filter((path) => path.endsWith('.md'))
      .map((path) => [path, readFileSync(join(root, path), 'utf8')]),
  ])
  const copied = filesBelow('docs').filter((path) => !path.endsWith('.md'))
  const pages = [...sources].map(([path, text]) => render(path, text))
  const dead = deadLinks(pages, copied)
  if (dead.length > 0) throw new Error(`Links that lead nowhere:\n${dead.join('\n')}`)
  rmSync(directory, { recursive: true, force: true })
  for (const page of pages) write(join(directory, page.path), htmlOf(page, pages, version))
  for (const path of copied) {
    mkdirSync(dirname(join(directory, path)), { recursive: true })
    cpSync(join(root, path), join(directory, path))
  }
  return pages.map(({ path }) => path)
}

const filesBelow = (directory) =>
  readdirSync(join(root, directory), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => posix.join(entry.parentPath.slice(root.length + 1), entry.name))
    .toSorted()

function write(path, text) {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}

/** The page of a document: README.md is what a directory shows. */
const pageOf = (path) => path.replace(/README\.md$/, 'index.md').replace(/\.md$/, '.html')

/** Renders one document, and finds its anchors and links. */
export function render(source, text) {
  const ids = new Set()
  const links = []
  const titles = []
  const parts = []
  const marked = new Marked({
    gfm: true,
    renderer: {
      heading({ tokens, depth }) {
        const inner = this.parser.parseInline(tokens)
        const plain = this.parser.parseInline(tokens, this.parser.textRenderer)
        const id = anchorOf(unescape(plain), ids)
        if (depth === 1) titles.push(unescape(plain))
        if (depth === 2)
          parts.push(`<li><a href="#${escape(id)}">${escape(unescape(plain))}</a></li>`)
        return `<h${depth} id="${escape(id)}">${inner}</h${depth}>\n`
      },
      link({ href, tokens }) {
        const inner = this.parser.parseInline(tokens)
        if (/^https?:\/\//.test(href))
          return `<a href="${escape(href)}" rel="noreferrer">${inner}</a>`
        if (/^[a-z]+:/i.test(href)) throw new Error(`${source} links to ${href}.`)
        const [path, anchor] = href.split('#')
        links.push({ path, anchor, href })
        const to = path === '' ? '' : pageOf(path)
        return `<a href="${escape(to + (anchor === undefined ? '' : `#${anchor}`))}">${inner}</a>`
      },
      image({ href }) {
        throw new Error(`${source} shows ${href}, and pages have no pictures yet.`)
      },
      html({ text: html }) {
        if (/^<!--[^>]*-->$/.test(html.trim())) return ''
        const id = /^<a id="([\w-]+)">$/.exec(html.trim())?.[1]
        if (id !== undefined) ids.add(id)
        else if (html.trim() !== '</a>') throw new Error(`${source} has HTML: ${html}`)
        return html
      },
      code({ text: code }) {
        return `<pre tabindex="0"><code>${escape(code)}\n</code></pre>\n`
      },
    },
  })
  const body = marked
    .parse(text)
    .replaceAll('<table>', '<div class="table" tabindex="0"><table>')
    .replaceAll('</table>', '</table></div>')
    // A title of a column that says nothing is no title.
    .replaceAll(/<th([^>]*)><\/th>/g, '<td$1></td>')
  const contents = `<details><summary>On this page</summary>\n<ul>\n${parts.join('\n')}\n</ul>\n</details>\n`
  const html = parts.length < 4 ? body : body.replace('</h1>\n', (end) => end + contents)
  return { path: pageOf(source), title: titles[0] ?? source, html, ids, links }
}

/** Adds the anchor that GitHub gives a heading, and returns it. */
function anchorOf(title, ids) {
  const base = title
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\p{M}_ -]/gu, '')
    .replaceAll(' ', '-')
  let id = base
  for (let i = 1; ids.has(id); i++) id = `${base}-${i}`
  ids.add(id)
  return id
}

/** Returns the links of pages to pages, files and anchors that there are not. */
export function deadLinks(pages, files = []) {
  const byPath = new Map(pages.map((page) => [page.path, page]))
  return pages.flatMap(({ path: from, ids, links }) =>
    links.flatMap(({ path, anchor, href }) => {
      const to = path === '' ? from : posix.join(posix.dirname(from), pageOf(path))
      const target = path === '' ? { ids } : byPath.get(to)
      const isThere = target === undefined ? files.includes(to) : true
      const hasAnchor = anchor === undefined || target?.ids.has(decodeURIComponent(anchor))
      return isThere && hasAnchor ? [] : [`${from}: ${href}`]
    }),
  )
}

const escape = (text) => text.replaceAll(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`)

const unescape = (text) =>
  text
    .replaceAll(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)))
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&')

const style = readFileSync(join(import.meta.dirname, 'style.css'), 'utf8')
const styleHash = createHash('sha256').update(style).digest('base64')
const policy = `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; form-action 'none'`

function htmlOf(page, pages, version) {
  const to = (path) => escape(posix.relative(posix.dirname(page.path), path))
  const item = ({ path, title }) =>
    `<li><a href="${to(path)}"${path === page.path ? ' aria-current="page"' : ''}>${escape(title)}</a></li>`
  const isApi = ({ path }) => path.startsWith('docs/api/')
  const first = new Set(['index.html', 'docs/commands.html', 'SECURITY.html'])
  const groups = [
    ['Start', pages.filter(({ path }) => first.has(path))],
    ['Guides', pages.filter((each) => !first.has(each.path) && !isApi(each))],
    ['API', pages.filter(isApi)],
  ]
  const title = page.path === 'index.html' ? 'Rootling' : `${page.title} – Rootling`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${escape(title)}</title>
<style>${style}</style>
</head>
<body>
<a class="skip" href="#content">To the content</a>
<header><a href="${to('index.html')}">Rootling</a> <a href="${to('docs/commands.html')}">Commands</a> <a href="#pages">All pages</a></header>
<div class="columns">
<main id="content">
${page.html}</main>
<nav id="pages" aria-label="Pages">
${groups.map(([name, list]) => `<h2>${name}</h2>\n<ul>\n${list.map(item).join('\n')}\n</ul>`).join('\n')}
</nav>
</div>
<footer>Rootling ${escape(version)}, MIT licence</footer>
</body>
</html>
`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const directory = join(root, 'dist-docs')
  const pages = await buildSite(directory)
  console.log(`${pages.length} pages: ${join(directory, 'index.html')}`)
}
