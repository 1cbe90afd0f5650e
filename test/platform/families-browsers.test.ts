import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { findFirefoxWithoutSystemRoots } from '../../platform/firefox/enterprise-roots.ts'
import { firefoxDirectory } from '../../platform/firefox/enterprise-roots.ts'
import { findJavaKeystores } from '../../platform/java/installations.ts'
import { findNssDatabases } from '../../platform/nss/browsers.ts'
import { createFakeMachine } from './fake-machine.ts'
import { parentOf } from './world.ts'

function makeHome(): string {
  const home = mkdtempSync(path.join(tmpdir(), 'home-'))
  onTestFinished(() => rmSync(home, { recursive: true }))
  return home
}

/** A profile that profiles.ini names. */
function makeProfile(root: string, prefs: Record<string, string> = {}): string {
  const profile = path.join(root, 'Profiles/abc.default')
  mkdirSync(profile, { recursive: true })
  for (const [name, text] of Object.entries(prefs)) writeFileSync(path.join(profile, name), text)
  const ini = '[Profile0]\nName=default\nIsRelative=1\nPath=Profiles/abc.default\n'
  writeFileSync(parentOf(path.join(root, 'profiles.ini')), ini)
  return profile
}

test.each([
  ['classic', '.mozilla/firefox'],
  ['XDG, since 147', '.config/mozilla/firefox'],
  ['snap', 'snap/firefox/common/.mozilla/firefox'],
  ['flatpak', '.var/app/org.mozilla.firefox/.mozilla/firefox'],
  ['flatpak with XDG', '.var/app/org.mozilla.firefox/config/mozilla/firefox'],
])('finds the profiles of Firefox: %s', async (_, root) => {
  const home = makeHome()
  const profile = makeProfile(path.join(home, root))
  const databases = await findNssDatabases(createFakeMachine({ home }))
  expect(databases.map(({ directory }) => directory)).toEqual([profile])
})

test('follows XDG_CONFIG_HOME to the profiles', async () => {
  const home = makeHome()
  const profile = makeProfile(path.join(home, 'settings/mozilla/firefox'))
  const env = { XDG_CONFIG_HOME: path.join(home, 'settings') }
  const databases = await findNssDatabases(createFakeMachine({ home, env }))
  expect(databases.map(({ directory }) => directory)).toEqual([profile])
})

test.each([
  ['snap', 'snap/chromium/current', 'snap/chromium/current/.pki/nssdb'],
  ['flatpak', null, '.var/app/org.chromium.Chromium/data/pki/nssdb'],
])('finds the database of Chromium: %s', async (_, made, expected) => {
  const home = makeHome()
  if (made === null) writeFileSync(parentOf(path.join(home, expected, 'cert9.db')), '')
  else mkdirSync(path.join(home, made), { recursive: true })
  const databases = await findNssDatabases(createFakeMachine({ home }))
  expect(databases.map(({ directory }) => directory)).toEqual([path.join(home, expected)])
})

const off = 'user_pref("security.enterprise_roots.enabled", false);\n'
const on = 'user_pref("security.enterprise_roots.enabled", true);\n'

test.each([
  ['nothing about it', {}, 0],
  ['it on', { 'prefs.js': on }, 0],
  ['it off', { 'prefs.js': off }, 1],
  ['it off, and on again in user.js', { 'prefs.js': off, 'user.js': on }, 0],
  ['it on, and off in user.js', { 'prefs.js': on, 'user.js': off }, 1],
  ['it off in a comment', { 'prefs.js': `// ${off}` }, 0],
])('says of a profile on macOS or Windows with %s', async (_, prefs, count) => {
  const root = path.join(makeHome(), 'Firefox')
  makeProfile(root, prefs)
  const stores = await findFirefoxWithoutSystemRoots(root)
  expect(stores).toHaveLength(count)
  for (const store of stores) {
    expect(await store.availability()).toEqual({
      available: false,
      code: 'unsupported',
      reason: 'This profile has turned off trust in the roots of the system.',
      hint: 'Open about:config in it and set security.enterprise_roots.enabled to true',
    })
  }
})

test('knows where Firefox keeps its profiles on macOS and Windows', () => {
  const machine = createFakeMachine({ home: '/Users/ada', env: { APPDATA: '/roaming' } })
  expect(firefoxDirectory(machine, 'darwin')).toBe('/Users/ada/Library/Application Support/Firefox')
  expect(firefoxDirectory(machine, 'win32')).toBe('/roaming/Mozilla/Firefox')
})

test('finds the Java inside a bundle of macOS', async () => {
  const home = makeHome()
  const inner = 'Library/Java/JavaVirtualMachines/temurin.jdk/Contents/Home/lib/security/cacerts'
  const file = parentOf(path.join(home, inner))
  writeFileSync(file, '')
  const keystores = await findJavaKeystores(createFakeMachine({ home }))
  expect(keystores.map((keystore) => keystore.file)).toContain(file)
})
