import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { chromiumDirectory, findNssDatabases } from '../../../platform/nss/browsers.ts'
import { parseListing, splitBySubject } from '../../../platform/nss/database.ts'
import { parseProfiles } from '../../../platform/nss/profiles-ini.ts'
import { createNssStore } from '../../../platform/nss/store.ts'
import { anchor, otherAnchor } from '../anchors.ts'
import { createFakeMachine } from '../fake-machine.ts'
import { parentOf } from '../world.ts'

function makeHome(): string {
  const home = mkdtempSync(path.join(tmpdir(), 'home-'))
  onTestFinished(() => rmSync(home, { recursive: true }))
  return home
}

describe('profiles.ini', () => {
  test('names profiles inside and outside its directory', () => {
    const text = `[Install4F96D1932A9F858E]
Default=abc.default-esr

[Profile1]
Name=work
IsRelative=0
Path=/srv/profiles/work/

[Profile0]\r
Name=default\r
IsRelative=1\r
Path=abc.default-esr\r
`
    expect(parseProfiles(text, '/r')).toEqual(['/srv/profiles/work', '/r/abc.default-esr'])
  })

  test.each([
    ['nothing', ''],
    ['bytes', '\u0000\u0001[[[]]]====\n\n=\n'],
    ['a path without a section', 'Path=/tmp/x\n'],
    ['a path in another section', '[General]\nPath=/tmp/x\n'],
    ['a path with a NUL', '[Profile0]\nPath=a\0b\n'],
    ['an absolute path that is none', '[Profile0]\nIsRelative=0\nPath=x\n'],
    ['an empty path', '[Profile0]\nPath=\n'],
  ])('finds no profile in %s', (_, text) => {
    expect(parseProfiles(text, '/r')).toEqual([])
  })

  test('stops at a thousand profiles', () => {
    const many = Array.from({ length: 5000 }, (_, n) => `[Profile${n}]\nPath=p${n}\n`).join('')
    expect(parseProfiles(many, '/r')).toHaveLength(1000)
  })
})

describe('the database of Chromium', () => {
  test('is in the data directory of XDG in a new home', async () => {
    const machine = createFakeMachine({ home: makeHome() })
    const expected = path.join(machine.person.home, '.local/share/pki/nssdb')
    expect(await chromiumDirectory(machine)).toBe(expected)
  })

  test('is ~/.pki/nssdb once that exists, even empty, but not for a bare ~/.pki', async () => {
    const home = makeHome()
    const machine = createFakeMachine({ home, env: { XDG_DATA_HOME: '/data' } })
    mkdirSync(path.join(home, '.pki'))
    expect(await chromiumDirectory(machine)).toBe('/data/pki/nssdb')
    mkdirSync(path.join(home, '.pki/nssdb'))
    expect(await chromiumDirectory(machine)).toBe(path.join(home, '.pki/nssdb'))
  })

  test('ignores a relative XDG_DATA_HOME', async () => {
    const machine = createFakeMachine({ home: '/home/ada', env: { XDG_DATA_HOME: 'data' } })
    expect(await chromiumDirectory(machine)).toBe('/home/ada/.local/share/pki/nssdb')
  })

  test.each(['chromium', 'google-chrome', 'brave-browser', 'microsoft-edge', 'vivaldi', 'opera'])(
    'is made for %s that never ran',
    async (program) => {
      const programs = { [program]: `/usr/bin/${program}`, certutil: '/usr/bin/certutil' }
      const machine = createFakeMachine({ home: makeHome(), programs })
      const [database] = await findNssDatabases(machine)
      expect(database).toMatchObject({ create: true, as: 'person', scheme: 'sql' })
    },
  )

  test('is not made where no browser is', async () => {
    expect(await findNssDatabases(createFakeMachine({ home: makeHome() }))).toEqual([])
  })
})

describe('the databases of Firefox', () => {
  test('are found in every kind of installation, old ones included', async () => {
    const home = makeHome()
    const files = [
      '.mozilla/firefox/a.default/cert9.db',
      '.config/mozilla/firefox/b.default/cert9.db',
      'snap/firefox/common/.mozilla/firefox/c.default/cert9.db',
      '.var/app/org.mozilla.firefox/.mozilla/firefox/d.default/cert8.db',
    ]
    for (const file of files) writeFileSync(parentOf(path.join(home, file)), '')
    mkdirSync(path.join(home, '.mozilla/firefox/Crash Reports'))
    const databases = await findNssDatabases(createFakeMachine({ home }))
    const directories = files.map((file) => path.join(home, path.dirname(file)))
    expect(databases.map(({ directory }) => directory)).toEqual(directories)
    expect(databases.map(({ scheme }) => scheme)).toEqual(['sql', 'sql', 'sql', 'dbm'])
    expect(databases[0]?.title).toBe('Firefox (~/.mozilla/firefox/a.default)')
  })
})

test('names the package where a database is and certutil is not', async () => {
  const home = makeHome()
  const programs = { chromium: '/usr/bin/chromium', 'apt-get': '/usr/bin/apt-get' }
  const machine = createFakeMachine({ home, programs })
  const [database] = await findNssDatabases(machine)
  if (database === undefined) throw new Error('no database')
  expect(await createNssStore(machine, database).availability()).toMatchObject({
    code: 'missing-tool',
    hint: 'sudo apt-get install -y --no-install-recommends libnss3-tools',
    tool: { program: 'certutil' },
  })
})

test('reads nicknames with spaces and commas from the listing of certutil', () => {
  const listing = `
Certificate Nickname                                         Trust Attributes
                                                             SSL,S/MIME,JAR/XPI

rootling-0123abcd                                            C,,  
A CA, of spaces - An O                                       ,,   
client                                                       u,u,u
`
  expect(parseListing(listing)).toEqual([
    { nickname: 'rootling-0123abcd', flags: 'C,,' },
    { nickname: 'A CA, of spaces - An O', flags: ',,' },
    { nickname: 'client', flags: 'u,u,u' },
  ])
})

test('tells the entries of a batch apart, also neighbours of the same subject', () => {
  const subject = Buffer.from(anchor.der.toString('latin1').replaceAll('root', 'rood'), 'latin1')
  const [one, two, other] = [anchor.der, otherAnchor.der, subject]
  expect(splitBySubject([one, two, one, two, other])).toEqual([[one, two], [one, two], [other]])
  expect(splitBySubject([other, one, two, other])).toEqual([[other], [one, two], [other]])
  expect(splitBySubject([one, Buffer.from('junk')])).toEqual([])
})
