import { readdirSync, readFileSync } from 'node:fs'
import { join, posix, relative } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  breachesOf,
  circlesOf,
  importsOf,
  roomOf,
  rooms,
  roomsInMarkdown,
  unreadOf,
} from './rooms.ts'

const root = join(import.meta.dirname, '..')
const read = (file: string): string => readFileSync(join(root, file), 'utf8')
const files = ['src', 'platform'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map(({ parentPath, name }) => posix.join(relative(root, parentPath), name)),
)
const sources = new Map(
  files.filter((file) => unreadOf([file]).length === 0).map((file) => [file, read(file)]),
)
const roomName = (file: string): string => roomOf(file)?.name ?? file

describe('the rooms', () => {
  test('hold every file, and every import is one that the table names', () => {
    expect([...sources.keys()].filter((file) => roomOf(file) === null)).toEqual([])
    expect([...sources].flatMap(([file, source]) => breachesOf(file, source))).toEqual([])
    // Were nothing found, nothing would be refused.
    const found = [...sources.values()].flatMap(importsOf)
    expect(found.length).toBeGreaterThan(1_000)
  })

  test('hold only files that are read', () => {
    expect(unreadOf(files)).toEqual([])
    const planted = ['mts', 'cts', 'js', 'mjs', 'cjs', 'tsx', 'node'].map((end) => `src/x.${end}`)
    expect(unreadOf([...planted, 'src/x.ts', 'src/x.d.ts'])).toEqual(planted)
  })

  test('have no circle, neither of files nor of rooms', () => {
    expect(circlesOf(sources, (file) => file)).toEqual([])
    expect(circlesOf(sources, roomName)).toEqual([])
  })

  test('stand in CONTRIBUTING.md as in the table', () => {
    expect(read('CONTRIBUTING.md')).toContain(roomsInMarkdown())
  })

  test.each(rooms.flatMap(({ name, paths }) => paths.map((path) => [name, path])))(
    '%s lies where the table says, in %s',
    (_name, path) => {
      expect([...sources.keys()].some((file) => file.startsWith(path ?? ''))).toBe(true)
    },
  )
})

describe('an import that is planted is refused', () => {
  const main = "import { main } from '../cli/main.ts'"
  test.each([
    ['src/storage/x.ts', main],
    ['src/server/x.ts', main],
    ['src/acme/x.ts', main],
    ['src/daemon/x.ts', main],
    ['src/storage/x.ts', "import { issue } from '../cli/commands/issue.ts'"],
    ['src/acme/validation/x.ts', "import { issue } from '../../cli/commands/issue.ts'"],
    ['src/daemon/x.ts', "export * from '../cli/commands/issue.ts'"],
    ['src/server/x.ts', "import type { Output } from '../cli/output.ts'"],
    ['src/server/x.ts', "type Output = import('../cli/output.ts').Output"],
    ['src/server/x.ts', "const load = async () => import('../daemon/daemon.ts')"],
    ['src/storage/x.ts', "import { runDaemon } from '../daemon/daemon.ts'"],
    ['src/storage/x.ts', "import { readRunFile } from '../home/run-file.ts'"],
    ['src/certificates/x.ts', "import { createMachine } from '../../platform/machine.ts'"],
    ['src/certificates/x.ts', "import '../acme/server.ts'"],
    ['src/index.ts', "export { runDaemon } from './daemon/daemon.ts'"],
    ['platform/linux/x.ts', "import { readText } from '../../src/files/read.ts'"],
    ['src/x509/x.ts', "import { readFileSync } from 'node:fs'"],
    ['src/x509/x.ts', "import process from 'node:process'"],
    ['src/daemon/x.ts', "import yargs from 'yargs'"],
    ['src/daemon/x.ts', "import yargs from 'yargs/yargs'"],
    ['platform/linux/x.ts', "import { execa } from 'execa'"],
    ['src/cli/x.ts', "const forge = require('node-forge')"],
    ['src/cli/x.ts', "import type { Pki } from 'node-forge'"],
    ['src/cli/x.ts', "import { z } from '@scope/name/deep'"],
    ['src/newcomer/x.ts', "import { RootlingError } from '../errors.ts'"],
    ['src/newcomer/x.ts', "import yargs from 'yargs'"],
    ['src/newcomer/x.ts', "import { readFileSync } from 'node:fs'"],
    ['src/newcomer.ts', "import { main } from './cli/main.ts'"],
    ['src/storage/x.ts', "import { anything } from '../newcomer/x.ts'"],
    ['src/storage/x.ts', 'await import(`../cli/main.ts`)'],
    ['src/cli/x.ts', "await import('../cli/' + name)"],
    ['src/storage/x.ts', "import cli = require('../cli/main.ts')"],
    ['src/cli/x.ts', "module.require('node-forge')"],
    ['src/cli/x.ts', "import { createRequire } from 'node:module'"],
    ['src/files/lock.ts', "createRequire(import.meta.filename)('node-forge')"],
    ['src/cli/x.ts', "import { register } from 'node:module'"],
    ['src/cli/x.ts', "import type { Script } from 'node:vm'"],
    ['src/cli/x.ts', "import { Worker } from 'node:worker_threads'"],
    ['src/cli/x.ts', "new Worker(new URL('../daemon/daemon.ts', import.meta.url))"],
    ['src/cli/x.ts', "process.getBuiltinModule('node:fs')"],
    ['src/cli/x.ts', 'const { getBuiltinModule: load } = process'],
    ['src/cli/x.ts', "import { getBuiltinModule as load } from 'node:process'"],
    ['src/cli/x.ts', "export { getBuiltinModule as load } from 'node:process'"],
    ['src/cli/x.ts', "process.binding('fs')"],
    ['src/cli/x.ts', "process['binding']('fs')"],
    ['src/cli/x.ts', "process._linkedBinding('fs')"],
    ['src/cli/x.ts', "process.dlopen(target, 'x.node')"],
    ['src/cli/x.ts', "import.meta.resolve('../daemon/daemon.ts')"],
    ['src/cli/x.ts', 'const { resolve } = import.meta'],
  ])('in %s: %s', (file, source) => {
    expect(breachesOf(file, source)).toHaveLength(1)
  })

  test.each([
    ['src/storage/x.ts', "import { RootlingError } from '../errors.ts'"],
    ['src/storage/files/x.ts', "import { readRunFile } from '../../home/run-file.ts'"],
    ['src/acme/validation/x.ts', "import { listen } from '../../server/listen.ts'"],
    ['src/cli/x.ts', "import { runDaemon } from '../daemon/daemon.ts'"],
    ['src/x509/x.ts', "import { createHash } from 'node:crypto'"],
    ['platform/command.ts', "import { execa } from 'execa'"],
    ['src/cli/commands/x.ts', "import yargs from 'yargs/yargs'"],
    ['src/cli/x.ts', "await import('../daemon/daemon.ts')"],
    ['src/cli/x.ts', "import daemon = require('../daemon/daemon.ts')"],
    ['src/files/lock.ts', "import { createRequire } from 'node:module'"],
    ['src/files/lock.ts', "createRequire(import.meta.filename)('fs-native-extensions/binding')"],
    ['src/cli/code-cache.ts', "process.getBuiltinModule('node:vm')"],
    ['src/cli/x.ts', 'resolve(import.meta.dirname, binding)'],
  ])('and one that is allowed is not, in %s: %s', (file, source) => {
    expect(breachesOf(file, source)).toEqual([])
  })

  test('a circle is named, also one of types', () => {
    const planted = new Map([
      ['src/x509/a.ts', "import type { B } from './b.ts'"],
      ['src/x509/b.ts', "const load = () => import('./c.ts')"],
      ['src/x509/c.ts', "import { a } from './a.ts'"],
      ['src/x509/d.ts', "import { a } from './a.ts'"],
    ])
    const circle = ['src/x509/a.ts', 'src/x509/b.ts', 'src/x509/c.ts']
    expect(circlesOf(planted, (file) => file)).toEqual([circle])
  })
})
