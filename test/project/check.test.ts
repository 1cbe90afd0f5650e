import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { RootlingError, type Fault } from '../../src/errors.ts'
import { projectSchema } from '../../src/project/json-schema.ts'
import { projectShape } from '../../src/project/shape.ts'
import { checkText } from '../../src/project/check.ts'
import { readProject } from '../../src/project/read.ts'
import { project } from '../helpers/built.ts'
import { cloneOf } from './team.ts'

const check = (text: string, overrides = false) =>
  checkText(text, projectShape, {
    file: '/project/rootling.json',
    directory: '/project',
    overrides,
  })

const shown = (faults: readonly Fault[]): string[] =>
  faults.map(({ line, column, key, message }) => `${line}:${column} ${key}: ${message}`)

test('takes comments, trailing commas and a byte order mark', () => {
  const { faults, value } = check('\uFEFF{ // here\n "version": 1, /* and */ "permit": [], }')
  expect(faults).toEqual([])
  expect(value).toMatchObject({ version: 1, permit: [] })
})

test('reports all faults at once, each with its place and what is allowed', () => {
  const text = `{
  "version": 1,
  "certificats": [],
  "certificates": [
    { "names": [], "cert": "a.pem", "key": "a.pem", "days": 826, "keyType": "dsa" },
    { "names": ["a b", "shop.test:8443", 7], "cert": "b.txt" }
  ],
  "permit": ["com"],
  "hosts": { "shop.test": "localhost", "*.shop.test": "127.0.0.1" },
  "proxy": { "shop.test": 0, "api.test": "127.0.0.1" },
  "trust": [{ "root": "r.pem", "fingerprint": "84595e78", "names": ["com"] }],
  "env": { "file": "variables", "fil": 1 }
}`
  expect(shown(check(text).faults).map((line) => line.replace(/: .*/, ''))).toEqual([
    '3:3 certificats',
    '5:16 certificates[0].names',
    '5:44 certificates[0].key',
    '5:61 certificates[0].days',
    '5:77 certificates[0].keyType',
    '6:5 certificates[1].key',
    '6:17 certificates[1].names[0]',
    '6:24 certificates[1].names[1]',
    '6:42 certificates[1].names[2]',
    '6:54 certificates[1].cert',
    '8:14 permit[0]',
    '9:27 hosts.shop.test',
    '9:40 hosts."*.shop.test"',
    '10:27 proxy.shop.test',
    '10:42 proxy.api.test',
    '11:47 trust[0].fingerprint',
    '11:69 trust[0].names[0]',
    '12:20 env.file',
    '12:33 env.fil',
  ])
  const [first, , third, days, keyType] = shown(check(text).faults)
  expect(first).toContain('Did you mean certificates? Allowed are $schema, version,')
  expect(third).toBe(
    '5:44 certificates[0].key: It is the same as certificates[0].cert, and must be another.',
  )
  expect(days).toContain('826 is not right; it must be a whole number from 1 to 825.')
  expect(keyType).toContain('it must be one of "p256", "p384"')
})

test.each([
  ['', '1:1 : The file is empty; it must hold an object { … }.'],
  ['[]', '1:1 : A list is not right; it must be an object { … }.'],
  ['null', '1:1 : null is not right; it must be an object { … }.'],
  ['{"version": 1', '1:14 : A closing } is missing here.'],
  ['{version: 1}', /^1:2 : A symbol is wrong here/],
  ['{"version": 1} {}', '1:16 : The file goes on after its end.'],
  ['{"version": 1, /* never', '1:16 : A comment is not closed.'],
  ['{"permit": []}', '1:1 version: It is missing: The version of this format. Write "version": 1'],
  ['{"version": "1"}', '1:13 version: "1" is not right; it must be 1.'],
  ['{"version": 1, "version": 1}', '1:16 version: This key is there twice.'],
  ['{"version": 1, "__proto__": {}}', /__proto__: There is no such key/],
  ['{"version": 1, "constructor": {}}', /constructor: There is no such key/],
  [
    '{"version": 2, "novelty": 1}',
    /^1:13 version: This file is of version 2.*npm install rootling@latest/,
  ],
  [`{"version": 1, "permit": ${'['.repeat(100_000)}`, /nested deeper than 32 levels/],
  [`{"version": 1, "permit": ${'[{"a":'.repeat(50)}`, /nested deeper than 32 levels/],
  [
    '{"version": 1, "hosts": {"a.test": "127.0.0.1", "a.test": "127.0.0.2"}}',
    /49 hosts.a.test: This key is there twice/,
  ],
  [
    '{"version": 1, "certificates": [{"names": ["a.test", "*.test"], "cert": "a.pem", "key": "b.pem"}]}',
    /Firefox refuses: write \*\.dev\.test/,
  ],
])('refuses %j', (text, fault) => {
  const faults = shown(check(text).faults)
  expect(faults[0]).toMatch(fault instanceof RegExp ? fault : /^/)
  expect(typeof fault === 'string' ? faults[0] : fault).toEqual(fault)
})

test('a name of hosts has one address or a list of them', () => {
  const faults = (value: string) =>
    shown(check(`{"version": 1, "hosts": {"a.test": ${value}}}`).faults)
  expect(faults('["127.0.0.1", "::1"]')).toEqual([])
  expect(faults('"::1"')).toEqual([])
  expect(faults('[]')[0]).toContain('hosts.a.test: It has 0 items; allowed are 1 to 10.')
  expect(faults('["::1", "x"]')[0]).toContain('hosts.a.test[1]: "x" is no IP address')
  expect(faults('true')[0]).toContain('it must be an IP address such as 127.0.0.1')
})

test('an overriding file needs nothing, and takes members out', () => {
  expect(check('{"certificates": null, "hosts": {"a.test": null}}', true).faults).toEqual([])
  expect(check('{"version": 1, "certificates": null}').faults).toHaveLength(1)
})

describe('rootling.local.json', () => {
  test('replaces lists, and merges objects member by member', async () => {
    const clone = await cloneOf({
      permit: ['a.example.com'],
      hosts: { 'a.test': '127.0.0.1', 'b.test': '127.0.0.1', 'c.test': '127.0.0.1' },
      env: { file: '.env.rootling' },
    })
    const local = '{"permit": [], "hosts": {"a.test": "127.0.0.2", "b.test": null}, "env": null}'
    clone.write('rootling.local.json', local)
    const wanted = await readProject(clone)
    expect(wanted).toMatchObject({ permit: [], env: null, hasLocal: true })
    expect([...wanted.hosts]).toEqual([
      ['a.test', '127.0.0.2'],
      ['c.test', '127.0.0.1'],
    ])
  })

  test('has its faults reported with those of rootling.json', async () => {
    const clone = await cloneOf({ permit: ['com'] })
    clone.write('rootling.local.json', '{"day": 1}')
    const error = await readProject(clone).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(RootlingError)
    expect(
      (error as RootlingError).faults?.map(({ file, key }) => `${file.split('/').at(-1)} ${key}`),
    ).toEqual(['rootling.json permit[0]', 'rootling.local.json day'])
  })
})

test('README’s example loads as it is', async () => {
  const readme = readFileSync(join(project, 'README.md'), 'utf8')
  const example = /### A team: rootling\.json[^]*?```jsonc\n([^]*?)```/.exec(readme)?.[1] ?? ''
  const clone = await cloneOf({})
  clone.write('rootling.json', example)
  const { trust } = await readProject(clone)
  expect(trust[0]?.fingerprint.replaceAll(':', '')).toMatch(/^[0-9a-f]{64}$/)
})

test.each([
  ['{}', 'What is allowed: rootling schema'],
  ['{"version": "1"}', 'What is allowed: rootling schema'],
  // The fault itself says how to update.
  ['{"version": 2}', undefined],
])('a file that is %s has the hint %s', async (text, hint) => {
  const clone = await cloneOf({})
  clone.write('rootling.json', text)
  const error = await readProject(clone).catch((caught: unknown) => caught)
  expect(error).toMatchObject({ code: 'bad-project', faults: [{ key: 'version' }] })
  expect((error as RootlingError).hint).toBe(hint)
})

test('the schema in the package is the one that is checked', () => {
  const packed = readFileSync(join(project, 'schema/rootling.schema.json'), 'utf8')
  // To write it anew: node dist/cli/rootling.cjs schema > schema/rootling.schema.json
  expect(JSON.parse(packed)).toEqual(projectSchema())
})
