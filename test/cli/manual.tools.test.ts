import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { groups } from '../../src/cli/command-groups.ts'
import { commands } from '../../src/cli/table.ts'
import { descriptions, groupDescriptions } from '../../scripts/share/descriptions.ts'
import { ensureBuilt, project } from '../helpers/built.ts'
import { runTool } from '../helpers/tools.ts'

const directory = join(project, 'dist/share/man/man1')
const shown = commands.filter(({ hidden }) => hidden !== true).map(({ spec }) => spec.name)

test('every command has a description and a page, which npm links', () => {
  ensureBuilt()
  expect(Object.keys(descriptions).toSorted()).toEqual(['', ...shown].toSorted())
  expect(Object.keys(groupDescriptions).toSorted()).toEqual(Object.keys(groups).toSorted())
  const single = shown.filter((name) => !name.includes(' '))
  const named = [...single, ...Object.keys(groups), 'mkcert'].map((name) => `rootling-${name}.1`)
  const pages = ['rootling.1', ...named].toSorted()
  expect(readdirSync(directory).toSorted()).toEqual(pages)
  const { man } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as {
    man: string[]
  }
  expect(man.toSorted()).toEqual(pages.map((page) => `dist/share/man/man1/${page}`))
})

test('man and mandoc have nothing to say of any page, and it reads as it should', async ({
  skip,
}) => {
  skip(!existsSync('/usr/bin/mandb') || !existsSync('/usr/bin/mandoc'), 'needs man-db and mandoc')
  ensureBuilt()
  const script = `cd "$1"; for page in *.1; do
    LC_ALL=C.UTF-8 MANROFFSEQ= MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" > /dev/null
    mandoc -T lint "$page"
  done 2>&1`
  const { stdout } = await runTool('sh', ['-c', script, 'sh', directory])
  // A date would make two builds of one version differ.
  const said = stdout.split('\n').filter((line) => !/^$|missing date/.test(line))
  expect(said).toEqual([])
  const page = await runTool('env', [
    'MANWIDTH=80',
    'man',
    '-l',
    join(directory, 'rootling-proxy.1'),
  ])
  const titles = page.stdout.split('\n').filter((line) => /^[A-Z][A-Z ]+$/.test(line))
  expect(titles).toEqual([
    'NAME',
    'SYNOPSIS',
    'DESCRIPTION',
    'COMMANDS',
    'OPTIONS',
    'EXIT STATUS',
    'ENVIRONMENT',
    'FILES',
    'EXAMPLES',
    'SEE ALSO',
  ])
  expect(page.stdout).toContain(
    '       rootling proxy add docs.test --to https://docs.example --change-origin\n',
  )
})
