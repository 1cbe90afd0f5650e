import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { completeCommands } from '../src/complete-commands.ts'
import { commands } from '../src/cli/table.ts'

const both = { home: '/h', authority: 'work' }

test.for([
  ['rootling install', 'ROOTLING_HOME=/h rootling install --ca work'],
  ['rootling issue localhost ::1', 'ROOTLING_HOME=/h rootling issue --ca work localhost ::1'],
  [
    'start anew: rootling ca forget local; rootling install && rootling list',
    'start anew: ROOTLING_HOME=/h rootling ca forget --ca work local; ROOTLING_HOME=/h rootling install --ca work && ROOTLING_HOME=/h rootling list --ca work',
  ],
  [
    'A new list (rootling crl) or a responder',
    'A new list (ROOTLING_HOME=/h rootling crl --ca work) or a responder',
  ],
  ['rootling list --ca work', 'ROOTLING_HOME=/h rootling list --ca work'],
  [
    'rootling list; rootling list --ca=x',
    'ROOTLING_HOME=/h rootling list --ca work; ROOTLING_HOME=/h rootling list --ca=x',
  ],
  ["ROOTLING_HOME='/a b' rootling list", "ROOTLING_HOME='/a b' rootling list --ca work"],
  [
    "rootling issue 'a b'; rootling list",
    "ROOTLING_HOME=/h rootling issue --ca work 'a b'; ROOTLING_HOME=/h rootling list --ca work",
  ],
])('completes each command in %j', ([hint = '', completed = '']) => {
  expect(completeCommands(hint, both)).toBe(completed)
  expect(completeCommands(completed, both), 'never twice').toBe(completed)
})

test.for([
  "chmod 600 '/x/my rootling install/key.pem'",
  String.raw`chmod 600 '/x/it'\''s my rootling install/key.pem'`,
  String.raw`chmod 600 $'/x/it\'s\n rootling install/key.pem'`,
  "~/'my rootling install/key.pem' is there",
  'chmod 600 /x/rootling install',
  'Run "rootling-mkcert -install"',
  'rootling --help',
  'Close rootling, then try again',
])('leaves %j as it is', (hint) => {
  expect(completeCommands(hint, both)).toBe(hint)
})

test('quotes what is completed, and completes nothing where nothing is set', () => {
  const selected = { home: "/it's mine", authority: 'a;b' }
  expect(completeCommands('rootling install', selected)).toBe(
    String.raw`ROOTLING_HOME='/it'\''s mine' rootling install --ca 'a;b'`,
  )
  for (const nothing of [{}, { home: '' }])
    expect(completeCommands('rootling install', nothing)).toBe('rootling install')
})

test('knows the name of every command', () => {
  for (const { spec } of commands)
    expect(completeCommands(`rootling ${spec.name} x`, both)).toBe(
      `ROOTLING_HOME=/h rootling ${spec.name} --ca work x`,
    )
})

/** Whether a text that begins with a command's name is a sentence about the command. */
const isProse = (text: string): boolean => /[.:]$| makes | works in /.test(text)

test('no text begins with a command and goes on behind a comma, which would be pasted too', () => {
  const sources = ['src', 'platform'].flatMap((directory) =>
    readdirSync(directory, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(directory, name)),
  )
  expect(sources.length).toBeGreaterThan(300)
  const found = sources.flatMap((path) =>
    Array.from(
      readFileSync(path, 'utf8').matchAll(/['`](rootling [^'`\n]*[,;] [^'`\n]*)['`]/g),
      ([, text]) => `${path}: ${text}`,
    ),
  )
  expect(found.filter((text) => !isProse(text))).toEqual([])
})

test('no text has a command as its subject, which would get ROOTLING_HOME in a sentence', () => {
  const verbs = 'shows|says|did|does|is|was|makes|works|adds|lists|finds|tells|prints|writes|needs'
  const subject = new RegExp(String.raw`[\`'" ]rootling(?: [a-z]+){1,2} (?:${verbs})\b`)
  const project = join(import.meta.dirname, '..')
  const files = ['src', 'platform'].flatMap((room) =>
    readdirSync(join(project, room), { recursive: true, encoding: 'utf8' }).map((path) =>
      join(room, path),
    ),
  )
  const found = files
    .filter((path) => path.endsWith('.ts'))
    .flatMap((path) => readFileSync(join(project, path), 'utf8').split('\n'))
    // An error's own sentence stays as it is.
    .filter(
      (line) =>
        subject.test(line) && !/^\s*(?:\*|\/\/|\/\*|throw new RootlingError|describe:)/.test(line),
    )
  expect(found).toEqual([])
})
