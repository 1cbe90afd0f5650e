// Writes docs/frameworks.md from the examples of examples/frameworks, which the tests run; with
// --check only fails where the document is not what would be written.
import { readFileSync, writeFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(import.meta.dirname, '..')
const examples = join(root, 'examples/frameworks')
const path = join(root, 'docs/frameworks.md')
const read = (...parts) => readFileSync(join(examples, ...parts), 'utf8')

const introduction = `# HTTPS for frameworks

Once \`rootling install\` has run on a machine, each framework needs a few lines. Every example is a folder of \`examples/frameworks\` in the repository. The tests start each with its real packages and its real server, and open its page in a Chromium that trusts the authority; this page is made from the same files.

- **protocol**: what Chromium speaks with the server.
- **a change of the source**: *hot*: the page is updated in place, over \`wss:\` and without a certificate error; *reload*: the page loads anew, by a message over \`wss:\`; *restart*: the server starts anew.
- **fetches itself**: whether code in the server fetched a page of the same server over HTTPS, where it runs code of yours. Node reads no trust store: start the server by \`rootling run\`, as the examples do, which sets \`NODE_EXTRA_CA_CERTS\`.
`

/** The text of the document. */
export function frameworksDocument() {
  const all = JSON.parse(read('frameworks.json'))
  const tried = all.filter(({ untried }) => untried === undefined)
  const servers = tried.filter(({ runner }) => runner !== true)
  const rows = servers.map((each) => {
    const also = (each.also ?? []).map((versions) => `, ${versions[each.package]}`).join('')
    const self = each.self === null ? '' : 'yes'
    return `| [${each.title}](#${anchorOf(each.title)}) | ${versionOf(each)}${also} | ${each.node} | ${each.protocol} | ${each.update} | ${self} |`
  })
  const untried = all.filter((each) => each.untried !== undefined)
  return [
    introduction,
    '| framework | versions | Node | protocol | a change of the source | fetches itself |',
    '|---|---|---|---|---|---|',
    ...rows,
    '',
    ...(untried.length === 0 ? [] : ['What the tests do not run:', '']),
    ...untried.map(({ title, untried }) => `- ${title}: ${untried}`),
    ...(untried.length === 0 ? [] : ['']),
    ...tried.map(sectionOf),
  ].join('\n')
}

function sectionOf({ name, title, show, start, notes = [] }) {
  const files = show.map((file) => {
    const language = { '.ts': 'ts', '.json': 'json' }[extname(file)] ?? 'js'
    const text = file === 'package.json' ? scriptsOf(name) : read(name, file).trimEnd()
    return `\`${file}\`:\n\n\`\`\`${language}\n${text}\n\`\`\`\n`
  })
  const command = start.filter((word) => !/^--(?:port)?$|^PORT$/.test(word) || word === '--')
  const shown = command.join(' ').replace(/ --$/, '')
  const also = notes.map((note) => `${note}\n`)
  return [`## ${title}\n`, ...files, `\`\`\`sh\n${shown}\n\`\`\`\n`, ...also].join('\n')
}

function scriptsOf(name) {
  const { scripts } = JSON.parse(read(name, 'package.json'))
  return JSON.stringify({ scripts }, null, 2)
}

function versionOf({ name, package: main }) {
  const { dependencies, devDependencies } = JSON.parse(read(name, 'package.json'))
  return { ...dependencies, ...devDependencies }[main]
}

/** The anchor that GitHub gives a heading. */
const anchorOf = (title) =>
  title
    .toLowerCase()
    .replace(/[^\w -]/g, '')
    .replaceAll(' ', '-')

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = frameworksDocument()
  if (!process.argv.includes('--check')) writeFileSync(path, text)
  else if (readFileSync(path, 'utf8') !== text) {
    console.error('docs/frameworks.md is not what node scripts/frameworks-document.mjs writes.')
    process.exit(1)
  }
}
