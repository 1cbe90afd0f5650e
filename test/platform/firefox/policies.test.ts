import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { findFirefoxPolicies } from '../../../platform/firefox/policies.ts'
import { addCertificate, removeCertificate } from '../../../platform/firefox/policies-text.ts'
import type { TrustStore } from '../../../platform/trust-store.ts'
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
    ['an empty object', '{}'],
    ['an empty object with a space', '{ }\n'],
    ['empty policies', '{"policies":{}}'],
    ['empty certificates', '{"policies":{"Certificates":{}}}'],
    ['an empty list', '{"policies": {"Certificates": {"Install": []}}}'],
    ['an empty list with spaces', '{ "policies": { "Certificates": { "Install": [ ] } } }'],
    ['line ends of Windows', '{\r\n  "policies": {\r\n    "A": true\r\n  }\r\n}\r\n'],
    [
      'a layout of its own',
      '{"b" :1.0,\n\n "policies":{ "A" : "\\u00e9\\"{[" , "B":[1,{"x":"]"}] } }\n\n',
    ],
    ['a member twice', '{"policies":{"A":1},"policies":{"B":[ {} ]}}'],
    ['an escaped name', '{"polic\\u0069es":{"Certificates":{"Install":["/a.crt", "/b.crt"]}}}'],
  ])('adds to a file with %s and takes exactly that away again', (_, before) => {
    const merged = add(before)
    expect(merged).toContain(ours)
    expect(add(merged)).toBe(merged)
    expect(remove(merged)).toBe(before)
  })

  test.each([
    ['a file of ours alone', null],
    ['an empty list', '{"policies":{"Certificates":{"Install":[]}}}'],
    ['other certificates', '{"policies":{"Certificates":{"Install":[\n"/a.crt",\n"/b.crt"]}}}'],
    ['no certificates', '{\n\t"policies": {\n\t\t"A": 1\n\t}\n}'],
  ])('takes several roots out of %s in any order', (_, before) => {
    const paths = ['/1.crt', '/2.crt', '/3.crt']
    const orders = [paths, paths.toReversed(), ['/2.crt', '/1.crt', '/3.crt']]
    for (const order of orders) {
      let text: string | null = before
      for (const each of paths) text = addCertificate(text, each, 'f')
      for (const each of order) text = text === null ? null : removeCertificate(text, each, 'f')
      expect(text).toBe(before)
    }
  })

  const others = { requiredKeys: [] as [] }
  const policiesFile = fc.record(
    {
      a: fc.jsonValue(),
      policies: fc.record(
        {
          B: fc.jsonValue(),
          Certificates: fc.record({ Install: fc.array(fc.jsonValue()), C: fc.jsonValue() }, others),
        },
        others,
      ),
      z: fc.string(),
    },
    others,
  )
  const layouts = fc.constantFrom(0, 2, '\t', 'Windows')

  test('gives back any policies file as it was', () => {
    fc.assert(
      fc.property(policiesFile, layouts, (policies, layout) => {
        const before =
          layout === 'Windows'
            ? JSON.stringify(policies, null, 1).replaceAll('\n', '\r\n')
            : JSON.stringify(policies, null, layout)
        const merged = add(before)
        const { Install } = JSON.parse(merged).policies.Certificates
        // JSON has no -0.
        const whole = JSON.parse(before) as typeof policies
        expect(Install).toEqual([ours, ...(whole.policies?.Certificates?.Install ?? [])])
        expect(remove(merged)).toBe(before)
      }),
    )
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
  async function makeStore(firefox?: string) {
    const base = mkdtempSync(path.join(tmpdir(), 'policies-'))
    onTestFinished(() => rmSync(base, { recursive: true }))
    const directory = path.join(base, 'firefox/policies')
    const programs = firefox === undefined ? {} : { firefox: path.join(base, firefox) }
    const machine = createFakeMachine({ programs })
    const find = () => findFirefoxPolicies(machine, directory, [path.join(base, 'opt')])
    return { base, directory, find, store: storeIn(await find(), directory) }
  }

  function storeIn(stores: readonly TrustStore[], directory: string): TrustStore {
    const store = stores.find(({ id }) => id === `firefox-policies:${directory}`)
    if (store === undefined) throw new Error(`no store in ${directory}`)
    return store
  }

  /** A Firefox, which may have policies of its own. */
  function makeFirefox(directory: string, policies?: string): string {
    writeFileSync(parentOf(path.join(directory, 'application.ini')), '[App]\nName=Firefox\n')
    const file = path.join(directory, 'distribution/policies.json')
    if (policies !== undefined) writeFileSync(parentOf(file), policies)
    return file
  }

  test('never replaces a file that it cannot read', async () => {
    const { directory, store } = await makeStore()
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
    const { directory, store } = await makeStore()
    writeFileSync(parentOf(path.join(directory, 'policies.json')), ' '.repeat(2_000_000))
    await expect(store.install(anchor)).rejects.toMatchObject({ code: 'store-failed' })
  })

  test('adds to the policies of the distribution, which a file in /etc would switch off', async () => {
    const { base, directory, find } = await makeStore('lib/firefox')
    writeFileSync(parentOf(path.join(base, 'lib/firefox')), '')
    const shipped = parentOf(path.join(base, 'lib/distribution/policies.json'))
    writeFileSync(shipped, '{"policies":{"DisableTelemetry":true}}')
    const store = storeIn(await find(), path.dirname(shipped))
    await store.install(anchor)
    expect(await store.has(anchor)).toBe(true)
    expect(existsSync(path.join(directory, 'policies.json'))).toBe(false)
    await store.uninstall(anchor)
    expect(readFileSync(shipped, 'utf8')).toBe('{"policies":{"DisableTelemetry":true}}')
    expect(existsSync(directory)).toBe(false)
  })

  const shippedText = '{"policies":{"DisableTelemetry":true}}'

  test('adds to the policies in every Firefox where one of them has its own', async () => {
    const { base, directory, find } = await makeStore()
    const shipped = makeFirefox(path.join(base, 'opt/firefox-a'), shippedText)
    const made = makeFirefox(path.join(base, 'opt/firefox-b'))
    const [shared, ...own] = await find()
    expect(own.map(({ title }) => title)).toEqual(
      [shipped, made].map((file) => `Firefox policies (${path.dirname(file)})`),
    )
    expect(await shared?.availability()).toEqual({
      available: false,
      code: 'absent',
      reason: `A file there would switch off the policies of the Firefox in ${base}/opt/firefox-a.`,
    })
    for (const store of own) await store.install(anchor)
    for (const store of await find()) {
      if (store.id !== shared?.id) expect(await store.has(anchor)).toBe(true)
    }
    expect(existsSync(path.join(directory, 'policies.json'))).toBe(false)
    expect(JSON.parse(readFileSync(shipped, 'utf8')).policies.DisableTelemetry).toBe(true)
    for (const store of await find()) await store.uninstall(anchor)
    expect(readFileSync(shipped, 'utf8')).toBe(shippedText)
    expect(existsSync(path.dirname(made))).toBe(false)
  })

  test('moves out of /etc once a Firefox with policies of its own is there', async () => {
    const { base, directory, store, find } = await makeStore()
    for (const each of [anchor, otherAnchor]) await store.install(each)
    makeFirefox(path.join(base, 'opt/firefox-a'))
    makeFirefox(path.join(base, 'opt/firefox-b'), shippedText)
    const [shared, ...own] = await find()
    expect(await shared?.has(anchor)).toBe(true)
    expect(await own[1]?.has(anchor)).toBe(false)
    await own[1]?.install(anchor)
    for (const each of [anchor, otherAnchor])
      for (const store of own) expect(await store.has(each)).toBe(true)
    expect(existsSync(directory)).toBe(false)
  })

  test('leaves the policies in a Firefox alone that an administrator’s in /etc switch off', async () => {
    const { base, directory, find } = await makeStore()
    const shipped = makeFirefox(path.join(base, 'opt/firefox'), shippedText)
    writeFileSync(parentOf(path.join(directory, 'policies.json')), '{"policies":{"A":1}}')
    expect((await find()).map(({ id }) => id)).toEqual([`firefox-policies:${directory}`])
    await storeIn(await find(), directory).install(anchor)
    expect(readFileSync(shipped, 'utf8')).toBe(shippedText)
  })

  test('takes out what it put into a Firefox before an administrator wrote to /etc', async () => {
    const { base, directory, find } = await makeStore()
    const shipped = makeFirefox(path.join(base, 'opt/firefox'), shippedText)
    await storeIn(await find(), path.dirname(shipped)).install(anchor)
    writeFileSync(parentOf(path.join(directory, 'policies.json')), '{"policies":{"A":1}}')
    const [store, ...others] = await find()
    expect(others).toEqual([])
    expect(await store?.list()).toEqual([anchor])
    await store?.uninstall(anchor)
    expect(readFileSync(shipped, 'utf8')).toBe(shippedText)
    expect(existsSync(path.join(path.dirname(shipped), `${anchor.name}.crt`))).toBe(false)
  })

  test('answers of a file with a byte order mark as Firefox, which ignores it', async () => {
    const { directory, store } = await makeStore()
    const file = parentOf(path.join(directory, 'policies.json'))
    writeFileSync(file, shippedText)
    await store.install(anchor)
    const merged = readFileSync(file, 'utf8')
    writeFileSync(file, `\uFEFF${merged}`)
    expect(await store.has(anchor)).toBe(false)
    await expect(store.install(anchor)).rejects.toMatchObject({
      code: 'store-failed',
      message: `${file} begins with a byte order mark, for which Firefox ignores the whole file.`,
    })
    await store.uninstall(anchor)
    expect(readFileSync(file, 'utf8')).toBe(`\uFEFF${shippedText}`)
  })

  test('refuses bytes that are not UTF-8, and a link that leads nowhere', async () => {
    const { directory, store } = await makeStore()
    const file = parentOf(path.join(directory, 'policies.json'))
    const bytes = Buffer.from('{"policies":{"A":"\xe9"}}', 'latin1')
    writeFileSync(file, bytes)
    await expect(store.install(anchor)).rejects.toMatchObject({
      message: `${file} is not UTF-8, so it was left as it is.`,
    })
    expect(readFileSync(file)).toEqual(bytes)
    rmSync(file)
    symlinkSync(path.join(directory, 'gone'), file)
    await expect(store.install(anchor)).rejects.toMatchObject({
      message: `${file} is a symbolic link that leads nowhere.`,
    })
    expect(readdirSync(directory)).toEqual(['policies.json'])
  })

  test('does not trust an entry whose file holds another root', async () => {
    const { directory, store } = await makeStore()
    await store.install(anchor)
    expect(await store.has(anchor)).toBe(true)
    writeFileSync(path.join(directory, `${anchor.name}.crt`), otherAnchor.pem)
    expect(await store.has(anchor)).toBe(false)
  })

  test('is absent without a Firefox, and leaves an empty directory of somebody alone', async () => {
    const { directory, store } = await makeStore()
    mkdirSync(directory, { recursive: true })
    expect(await store.availability()).toMatchObject({ available: false, code: 'absent' })
    await store.uninstall(anchor)
    expect(existsSync(directory)).toBe(true)
  })
})
