import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { project } from '../helpers/built.ts'
import { readFrameworks } from './example.ts'

test('docs/frameworks.md is what its script writes', async () => {
  const script = join(project, 'scripts/frameworks-document.mjs')
  const { frameworksDocument } = (await import(script)) as { frameworksDocument: () => string }
  const text = readFileSync(join(project, 'docs/frameworks.md'), 'utf8')
  // Else run: node scripts/frameworks-document.mjs
  expect(text).toBe(frameworksDocument())
})

test('every example is in frameworks.json, and has exact versions', async () => {
  const folders = readdirSync(join(project, 'examples/frameworks'), { withFileTypes: true })
  const names = folders.filter((each) => each.isDirectory()).map(({ name }) => name)
  const frameworks = await readFrameworks()
  const tried = frameworks.filter(({ untried }) => untried === undefined)
  expect(names.toSorted()).toEqual(tried.map(({ name }) => name).toSorted())
  for (const name of names) {
    const file = join(project, 'examples/frameworks', name, 'package.json')
    const { dependencies, devDependencies } = JSON.parse(readFileSync(file, 'utf8'))
    const { rootling, ...others } = { ...dependencies, ...devDependencies }
    expect(rootling).toBe('*')
    for (const version of Object.values(others)) expect(version).toMatch(/^\d+\.\d+\.\d+$/)
  }
})
