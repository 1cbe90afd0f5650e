import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { findProfilesWithoutSystemRoots } from '../../platform/firefox/enterprise-roots.ts'
import { findJavaKeystores } from '../../platform/java/installations.ts'
import { findTrustStores } from '../../platform/index.ts'
import { findNssDatabases, findPassedOver } from '../../platform/nss/browsers.ts'
import { trustStatus } from '../../src/trust/stores.ts'
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
  ['LibreWolf', '.librewolf'],
  ['LibreWolf, XDG', '.config/librewolf/librewolf'],
  ['LibreWolf, flatpak', '.var/app/io.gitlab.librewolf-community/.librewolf'],
  ['Zen', '.zen'],
  ['Zen, flatpak', '.var/app/app.zen_browser.zen/.zen'],
  ['Waterfox', '.waterfox'],
  ['Waterfox, flatpak', '.var/app/net.waterfox.waterfox/.waterfox'],
  ['Floorp', '.floorp'],
  ['Floorp, flatpak', '.var/app/one.ablaze.floorp/.floorp'],
  ['Thunderbird', '.thunderbird'],
  ['Thunderbird, snap', 'snap/thunderbird/common/.thunderbird'],
  ['Thunderbird, flatpak', '.var/app/org.mozilla.Thunderbird/.thunderbird'],
])('finds the profiles of Firefox and its family: %s', async (_, root) => {
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
  ['Brave, snap', 'snap/brave/current', 'snap/brave/current/.pki/nssdb'],
  ['Opera, snap', 'snap/opera/current', 'snap/opera/current/.pki/nssdb'],
  ['Vivaldi, snap', 'snap/vivaldi/current', 'snap/vivaldi/current/.pki/nssdb'],
  ['snap in XDG, since 146', null, 'snap/brave/current/.local/share/pki/nssdb'],
  ['Postman, snap', null, 'snap/postman/current/.pki/nssdb'],
  ['Brave, flatpak', null, '.var/app/com.brave.Browser/.pki/nssdb'],
  ['Edge, flatpak', null, '.var/app/com.microsoft.Edge/data/pki/nssdb'],
])('finds the database of Chromium and its family: %s', async (_, made, expected) => {
  const home = makeHome()
  if (made === null) writeFileSync(parentOf(path.join(home, expected, 'cert9.db')), '')
  else mkdirSync(path.join(home, made), { recursive: true })
  const databases = await findNssDatabases(createFakeMachine({ home }))
  expect(databases.map(({ directory }) => directory)).toEqual([path.join(home, expected)])
})

test.each([
  ['a program', {}, { librewolf: '/usr/bin/librewolf' }, 'LibreWolf', /no profile/],
  ['a snap', 'snap/thunderbird/common', {}, 'Thunderbird (snap)', /no profile/],
  ['a flatpak', '.var/app/com.brave.Browser', {}, 'Brave (flatpak)', /no database/],
  [
    'a flatpak that never ran',
    '.local/share/flatpak/app/org.mozilla.firefox',
    {},
    'Firefox (flatpak)',
    /no profile/,
  ],
] as const)(
  'names in status a browser that it passes over: %s',
  async (_, made, programs, title, why) => {
    const home = makeHome()
    if (typeof made === 'string') mkdirSync(path.join(home, made), { recursive: true })
    const stores = await findTrustStores(createFakeMachine({ home, programs }), 'linux')
    const rows = (await trustStatus(stores, [])).filter(({ store }) => store.title === title)
    expect(rows).toEqual([
      {
        store: { id: `nss:${title}`, kind: 'nss', title },
        anchor: null,
        outcome: 'skipped',
        reason: expect.stringMatching(why),
      },
    ])
  },
)

test('passes over no browser that has a database, or reads the policies', async () => {
  const home = makeHome()
  makeProfile(path.join(home, '.librewolf'))
  mkdirSync(path.join(home, 'snap/postman/current'), { recursive: true })
  const programs = { librewolf: '/usr/bin/librewolf', firefox: '/usr/bin/firefox' }
  expect(await findPassedOver(createFakeMachine({ home, programs }))).toEqual([])
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
  const home = makeHome()
  makeProfile(path.join(home, 'Library/Application Support/Firefox'), prefs)
  const stores = await findProfilesWithoutSystemRoots(createFakeMachine({ home }), 'darwin')
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

test.each([
  ['darwin', 'Library/Application Support/Firefox', 'Firefox'],
  ['darwin', 'Library/Application Support/librewolf', 'LibreWolf'],
  ['darwin', 'Library/Application Support/zen', 'Zen'],
  ['darwin', 'Library/Application Support/Waterfox', 'Waterfox'],
  ['darwin', 'Library/Application Support/Floorp', 'Floorp'],
  ['darwin', 'Library/Thunderbird', 'Thunderbird'],
  ['win32', 'roaming/Mozilla/Firefox', 'Firefox'],
  ['win32', 'roaming/librewolf', 'LibreWolf'],
  ['win32', 'roaming/zen', 'Zen'],
  ['win32', 'roaming/Waterfox', 'Waterfox'],
  ['win32', 'roaming/Floorp', 'Floorp'],
  ['win32', 'roaming/Thunderbird', 'Thunderbird'],
] as const)('knows on %s the profiles in %s of %s', async (system, directory, browser) => {
  const home = makeHome()
  makeProfile(path.join(home, directory), { 'prefs.js': off })
  const machine = createFakeMachine({ home, env: { APPDATA: path.join(home, 'roaming') } })
  const stores = await findProfilesWithoutSystemRoots(machine, system)
  expect(stores.map(({ title }) => title)).toEqual([expect.stringContaining(`${browser} (`)])
})

test('finds the Java inside a bundle of macOS', async () => {
  const home = makeHome()
  const inner = 'Library/Java/JavaVirtualMachines/temurin.jdk/Contents/Home/lib/security/cacerts'
  const file = parentOf(path.join(home, inner))
  writeFileSync(file, '')
  const keystores = await findJavaKeystores(createFakeMachine({ home }))
  expect(keystores.map((keystore) => keystore.file)).toContain(file)
})
