import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readScopes } from '../../../src/authority/scope.ts'
import { ensureBuilt, project } from '../../helpers/built.ts'
import { long } from '../../helpers/long.ts'
import { scrubbedEnvironment } from '../../helpers/scrubbed.ts'
import { run } from '../../helpers/subprocess.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { findColumns, type Column } from './columns.ts'
import { forge, type Forgery } from './forgeries.ts'
import { readLab, recordColumns, writesLab, type LabColumn } from './security-lab.ts'

// The thief of the only key on disk signs what they like, and everybody's verifier is asked. The
// short form asks those that start a program for each forgery about few or none.

const { found, missing } = await findColumns()
const note = missing.length === 0 ? '' : ` [not here: ${missing.join(', ')}]`
const lab = await readLab()
const asked = found.filter(({ short }) => long || short !== 'none')
const known = asked.filter(({ name }) => writesLab || lab.some((column) => column.name === name))

let directory: string
let forgeries: Forgery[]
const columns: LabColumn[] = []

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'rootling-thief-'))
  ensureBuilt()
  const state = { path: join(directory, 'state'), owner: null }
  const env = scrubbedEnvironment(directory, { ROOTLING_HOME: state.path })
  const script = `
    const { certificateFor } = await import(process.argv[1])
    await certificateFor(['localhost'])`
  const library = join(project, 'dist/library/index.js')
  const args = ['--input-type=module', '-e', script, library]
  const issued = await run(process.execPath, args, env)
  const [scope] = await readScopes(state)
  if (scope === undefined) throw new Error(issued.stderr)
  forgeries = await forge(state, scope, new Date())
})
afterAll(async () => {
  await rm(directory, { recursive: true, force: true })
  if (writesLab) await recordColumns(columns)
})

/** What the verifier accepts of the forgeries that it is asked about. */
async function accepted(column: Column) {
  const few = !long && column.short !== undefined
  const shown = forgeries.filter((forgery) => column.asks(forgery) && (!few || forgery.shape.short))
  const said = await column.verdicts(await temporaryDirectory(), shown)
  const titles = shown.map(({ title }) => title)
  const all = new Map(titles.map((title, i) => [title, said[i] === null]))
  if (long) columns.push({ name: column.name, version: await column.version(), verdicts: all })
  return { titles, accepted: titles.filter((title) => all.get(title)) }
}

test.each(known)(
  `$name refuses every form of a name that a stolen key signs outside, but what SECURITY.md says${note}`,
  async (column) => {
    const { titles, accepted: taken } = await accepted(column)
    expect(titles.length).toBeGreaterThanOrEqual(15)
    const controls = titles.filter((title) => title.startsWith('controls: '))
    expect(taken.filter((title) => title.startsWith('controls: '))).toEqual(controls)
    const said = lab.find(({ name }) => name === column.name)?.verdicts
    if (!writesLab) expect(taken).toEqual(titles.filter((title) => said?.get(title)))
  },
)

for (const { name } of asked.filter((column) => !known.includes(column)))
  test.skip(`${name} is not in docs/security-lab.md: npm run security-lab`, () => {})
