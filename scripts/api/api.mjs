// Writes docs/api, the reference of what the package exports, from the docstrings. Fails where
// something public has no docstring, or a link leads nowhere. With `--check` it writes nothing, and
// also fails where docs/api is not what it would write. With `--examples` it prints, as JSON, what
// must have an example, and all examples, for the test that runs them. A test also gives the
// directory of another package.
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { Application, LogLevel, ReflectionKind } from 'typedoc'

const { values, positionals } = parseArgs({
  options: { check: { type: 'boolean' }, examples: { type: 'boolean' } },
  allowPositionals: true,
})
const root = positionals[0] ?? join(import.meta.dirname, '../..')
const target = join(root, 'docs/api')
const entries = publicEntries()
const made = mkdtempSync(join(tmpdir(), 'rootling-api-'))
try {
  process.exitCode = (await main()) ? 0 : 1
} finally {
  rmSync(made, { recursive: true, force: true })
}

/** Returns whether all is as it must be. */
async function main() {
  const { app, project } = await readDocstrings()
  if (values.examples) {
    console.log(JSON.stringify(examplesOf(project)))
    return !app.logger.hasErrors()
  }
  app.validate(project)
  shortenOverloads(project)
  await app.generateOutputs(project)
  if (app.logger.hasErrors() || app.logger.hasWarnings()) return false
  if (values.check) return isFresh()
  rmSync(target, { recursive: true, force: true })
  cpSync(made, target, { recursive: true })
  return true
}

async function readDocstrings() {
  const app = await Application.bootstrapWithPlugins({
    plugin: ['typedoc-plugin-markdown'],
    tsconfig: join(root, 'tsconfig.json'),
    entryPoints: entries.map(({ source }) => source),
    name: 'The API of Rootling',
    readme: 'none',
    logLevel: LogLevel.Warn,
    // `npm run types` finds errors.
    skipErrorChecking: true,
    disableSources: true,
    excludeExternals: true,
    excludeInternal: true,
    sort: ['source-order'],
    sortEntryPoints: false,
    groupOrder: ['Functions', 'Classes', 'Interfaces', 'Type Aliases', '*'],
    outputs: [{ name: 'markdown', path: made }],
    entryFileName: 'README',
    outputFileStrategy: 'modules',
    hidePageHeader: true,
    hideBreadcrumbs: true,
    parametersFormat: 'table',
    interfacePropertiesFormat: 'table',
    classPropertiesFormat: 'table',
    typeDeclarationFormat: 'table',
    tableColumnSettings: { hideInherited: true, hideModifiers: true, hideOverrides: true },
    validation: { invalidLink: true, notDocumented: true, notExported: true, rewrittenLink: true },
  })
  const project = await app.convert()
  if (project === undefined) throw new Error('The docstrings cannot be read.')
  for (const module of project.getChildrenByKind(ReflectionKind.Module)) {
    const { packagePath } = project.getSymbolIdFromReflection(module)
    module.name = entries.find(({ source }) => source === join(root, packagePath)).name
  }
  return { app, project }
}

/** Leaves the docstring of a function with overloads to the first of them. */
function shortenOverloads(project) {
  for (const { signatures = [] } of Object.values(project.reflections))
    for (const overload of signatures.slice(1))
      if (overload.comment?.similarTo(signatures[0].comment)) delete overload.comment
}

/** Returns the entries of the package, with the source file of each: `exports` of package.json. */
function publicEntries() {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  return Object.entries(exports)
    .filter(([path]) => !path.endsWith('.json'))
    .map(([path, conditions]) => {
      const source = /^\.\/dist\/(src\/.*)\.d\.ts$/.exec(typesOf(conditions) ?? '')?.[1]
      if (source === undefined)
        throw new Error(`No source file has the types of the entry ${path}.`)
      return { name: path.replace('.', 'rootling'), source: join(root, `${source}.ts`) }
    })
}

/** Returns the file of types that an `import` finds. */
function typesOf({ types, ...conditions }) {
  if (types !== undefined) return types
  const names = ['module-sync', 'import', 'default']
  return names.flatMap((name) => conditions[name] ?? []).map(typesOf)[0]
}

/**
 * Returns everything public that has an example or must have one: each function, class and method.
 * A method whose name is a symbol, such as `Symbol.dispose`, is called by the language.
 */
function examplesOf(project) {
  const { Class, Function, Method, SomeSignature } = ReflectionKind
  const all = Object.values(project.reflections).filter((one) => !one.kindOf(SomeSignature))
  return all.flatMap((reflection) => {
    const { comment, kind, signatures = [], inheritedFrom } = reflection
    const comments = [comment, ...signatures.map((signature) => signature.comment)]
    const tags = comments.flatMap((one) => one?.getTags('@example') ?? [])
    const codes = tags.flatMap(({ content }) => codeOf(content.map(({ text }) => text).join('')))
    // The docstring of a function with overloads is the docstring of each.
    const examples = [...new Set(codes)]
    const isNeeded = [Class, Function, Method].includes(kind) && !reflection.name.startsWith('[')
    if (inheritedFrom !== undefined || (!isNeeded && tags.length === 0)) return []
    return [{ name: reflection.getFullName(), isNeeded, examples }]
  })
}

/** Returns the blocks of code in the text of an example. */
function codeOf(text) {
  return [...text.matchAll(/^```[jt]s\n([^]*?)^```$/gm)].map(([, code]) => code)
}

/** Returns whether docs/api holds what was made; says so where it does not. */
function isFresh() {
  const [fresh, kept] = [textsIn(made), textsIn(target)]
  const files = [...new Set([...fresh.keys(), ...kept.keys()])]
  const stale = files.filter((file) => fresh.get(file) !== kept.get(file))
  if (stale.length > 0)
    console.error(`docs/api is not what the docstrings say: ${stale.join(', ')}. Run npm run api.`)
  return stale.length === 0
}

/** Returns the texts of all files below a directory, by their paths; an absent one has none. */
function textsIn(directory) {
  if (!existsSync(directory)) return new Map()
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true })
  const paths = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
  return new Map(paths.map((path) => [relative(directory, path), readFileSync(path, 'utf8')]))
}
