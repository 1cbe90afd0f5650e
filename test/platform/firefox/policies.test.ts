import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  addCertificate,
  createFirefoxPoliciesStore,
  removeCertificate,
} from '../../../platform/firefox/policies.ts'
import { createFakeMachine } from '../fake-machine.ts'
import { anchor, otherAnchor } from '../anchors.ts'
import { parentOf } from '../world.ts'

const ours = '/etc/firefox/policies/rootling-0123abcd.crt'
const add = (text: string | null) => addCertificate(text, ours, 'policies.json')
const remove = (text: string) => removeCertificate(text, ours, 'policies.json')

describe('merging', () => {
  test.each([
    ['tabs', '{\n\t"policies": {\n\t\t"DisableTelemetry": true\n\t}\n}\n'],
    [
      'four spaces',
      '{\n    "x": 1,\n    "policies": {\n        "B": true,\n        "A": []\n    }\n}',
    ],
    ['one line', '{"policies":{"Certificates":{"ImportEnterpriseRoots":true}}}'],
    [
      'another certificate',
      '{\n  "policies": {\n    "Certificates": {\n      "Install": [\n        "/a.crt"\n      ]\n    }\n  }\n}\n',
    ],
  ])('adds to a file with %s and takes exactly that away again', (_, before) => {
    const merged = add(before)
    expect(merged).toContain(ours)
    expect(add(merged)).toBe(merged)
    expect(remove(merged)).toBe(before)
  })

  test('leaves nothing of a file that was ours alone', () => {
    expect(remove(add(null))).toBeNull()
    expect(JSON.parse(add(null))).toEqual({ policies: { Certificates: { Install: [ours] } } })
  })

  test.each([
    ['no JSON', '{ "policies": { // mine\n } }'],
    ['a list', '[]'],
    ['policies that are no object', '{"policies":[]}'],
    ['certificates that are no object', '{"policies":{"Certificates":1}}'],
    ['no list to install', '{"policies":{"Certificates":{"Install":"/a.crt"}}}'],
  ])('refuses %s', (_, text) => {
    expect(() => add(text)).toThrow(expect.objectContaining({ code: 'store-failed' }))
  })
})

describe('the store', () => {
  function makeStore(firefox?: string) {
    const base = mkdtempSync(path.join(tmpdir(), 'policies-'))
    onTestFinished(() => rmSync(base, { recursive: true }))
    const directory = path.join(base, 'firefox/policies')
    const programs = firefox === undefined ? {} : { firefox: path.join(base, firefox) }
    const machine = createFakeMachine({ programs })
    return { base, directory, store: createFirefoxPoliciesStore(machine, directory) }
  }

  test('never replaces a file that it cannot read', async () => {
    const { directory, store } = makeStore()
    const file = parentOf(path.join(directory, 'policies.json'))
    writeFileSync(file, '{ broken')
    await expect(store.install(anchor)).rejects.toMatchObject({
      code: 'store-failed',
      message: `${file} is not JSON, so it was left as it is.`,
    })
    expect(readFileSync(file, 'utf8')).toBe('{ broken')
    expect(await store.has(anchor)).toBe(false)
  })

  test('refuses a file of two million bytes', async () => {
    const { directory, store } = makeStore()
    writeFileSync(parentOf(path.join(directory, 'policies.json')), ' '.repeat(2_000_000))
    await expect(store.install(anchor)).rejects.toMatchObject({ code: 'store-failed' })
  })

  test('adds to the policies of the distribution, which a file in /etc would switch off', async () => {
    const { base, directory, store } = makeStore('lib/firefox')
    writeFileSync(parentOf(path.join(base, 'lib/firefox')), '')
    const shipped = parentOf(path.join(base, 'lib/distribution/policies.json'))
    writeFileSync(shipped, '{"policies":{"DisableTelemetry":true}}')
    await store.install(anchor)
    expect(await store.has(anchor)).toBe(true)
    expect(existsSync(path.join(directory, 'policies.json'))).toBe(false)
    await store.uninstall(anchor)
    expect(readFileSync(shipped, 'utf8')).toBe('{"policies":{"DisableTelemetry":true}}')
    expect(existsSync(directory)).toBe(false)
  })

  test('does not trust an entry whose file holds another root', async () => {
    const { directory, store } = makeStore()
    await store.install(anchor)
    expect(await store.has(anchor)).toBe(true)
    writeFileSync(path.join(directory, `${anchor.name}.crt`), otherAnchor.pem)
    expect(await store.has(anchor)).toBe(false)
  })

  test('is absent without a Firefox, and leaves an empty directory of somebody alone', async () => {
    const { directory, store } = makeStore()
    mkdirSync(directory, { recursive: true })
    expect(await store.availability()).toMatchObject({ available: false, code: 'absent' })
    await store.uninstall(anchor)
    expect(existsSync(directory)).toBe(true)
  })
})
