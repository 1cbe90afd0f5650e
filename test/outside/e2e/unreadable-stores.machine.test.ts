import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseAnswer } from '../../helpers/rootling.ts'
import { openPeople, peopleUnavailable, type People } from '../adversary/people.ts'

// Stores that no program can read, or not with the usual password.

const obstacle = await peopleUnavailable('certutil', 'keytool')
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

describe.skipIf(obstacle !== null)(`a store that cannot be read${skipNote}`, () => {
  let people: People

  beforeEach(async () => {
    people = await openPeople()
  })
  afterEach(() => people.namespace.close())

  /** Runs the command as ada, and returns what it says of the stores in her home. */
  async function act(...args: string[]) {
    const { ada, command } = people
    const line = [...command.slice(1), ...args, '--json']
    const { exitCode, stdout, stderr } = await ada.run(command[0], line)
    const answer = parseAnswer(stdout, stderr) as ReturnType<typeof parseAnswer> & {
      deleted?: boolean
      warnings?: readonly string[]
    }
    const stores = (answer.stores ?? []).filter(({ store }) => store.id.includes(ada.home))
    const outcomes = Object.fromEntries(
      stores.map(({ store, outcome, reason }) => [
        store.id.slice(store.id.indexOf(ada.home) + ada.home.length + 1),
        `${outcome} ${reason ?? ''}`.trim(),
      ]),
    )
    return { exitCode, outcomes, deleted: answer.deleted, warnings: answer.warnings }
  }

  const stores = ['--yes', '--no-sudo', '--stores', 'java,nss']

  test('is no reason to keep the CA where it never held the root, and else is named', async () => {
    const { ada } = people
    const prepare = `
      set -e
      for name in good empty keyless; do mkdir -p ~/.mozilla/firefox/$name; done
      for name in good keyless; do
        certutil -N --empty-password -d sql:$HOME/.mozilla/firefox/$name
      done
      rm ~/.mozilla/firefox/keyless/key4.db
      : > ~/.mozilla/firefox/empty/cert9.db
      printf 'hush, 1\\nnot this\\n' > ~/password
      chmod 600 ~/password
      for name in JKS PKCS12; do
        mkdir -p ~/.jdks/$name/lib/security
        keytool -genkeypair -storetype $name -keystore ~/.jdks/$name/lib/security/cacerts \\
          -storepass 'hush, 1' -keypass 'hush, 1' -alias own -keyalg EC -dname CN=own
      done`
    expect(await ada.sh(prepare)).toMatchObject({ exitCode: 0 })
    const password = ['--java-storepass-file', 'password']
    const files = {
      jks: '.jdks/JKS/lib/security/cacerts',
      pkcs12: '.jdks/PKCS12/lib/security/cacerts',
      good: '.mozilla/firefox/good',
      empty: '.mozilla/firefox/empty',
      keyless: '.mozilla/firefox/keyless',
    }

    const first = await act('install', ...stores)
    const unusual = (file: string) =>
      `failed The password of ${ada.home}/${file} is not changeit, the usual one.`
    expect(first.outcomes).toMatchObject({
      [files.jks]: unusual(files.jks),
      [files.pkcs12]: unusual(files.pkcs12),
      [files.good]: 'installed',
      [files.empty]: expect.stringMatching(/^failed .* is damaged: .*cert9\.db is no database\.$/),
      [files.keyless]: expect.stringMatching(/^failed NSS cannot open the database of /),
    })
    const second = await act('install', ...stores, ...password)
    expect(second.outcomes).toMatchObject({
      [files.jks]: 'installed',
      [files.pkcs12]: 'installed',
    })

    // Without the password nobody can take the root out of Java's stores; the others never had it.
    const kept = await act('uninstall', '--delete-ca', ...stores)
    expect(kept).toMatchObject({ exitCode: 3, deleted: false })
    expect(kept.outcomes).toMatchObject({
      [files.jks]: unusual(files.jks),
      [files.pkcs12]: unusual(files.pkcs12),
      [files.empty]: expect.stringMatching(/^skipped .* The root is not in it\.$/),
      [files.keyless]: expect.stringMatching(/^skipped .* The root is not in it\.$/),
    })
    const said = await ada.rootling(['uninstall', '--delete-ca', ...stores])
    expect(said.stderr).toContain(
      `The certificate authority was kept, since its root may still be in Java (${ada.home}/${files.jks}), Java (${ada.home}/${files.pkcs12}). To delete it all the same: rootling uninstall --delete-ca --force`,
    )

    const deleted = await act('uninstall', '--delete-ca', ...stores, ...password)
    expect(deleted).toMatchObject({ exitCode: 0, deleted: true })
    expect(deleted.outcomes).toMatchObject({ [files.jks]: 'removed', [files.pkcs12]: 'removed' })

    await act('install', ...stores, ...password)
    const forced = await act('uninstall', '--delete-ca', '--force', ...stores)
    expect(forced).toMatchObject({
      exitCode: 3,
      deleted: true,
      warnings: [expect.stringContaining(`Java (${ada.home}/${files.jks})`)],
    })
    expect((await ada.rootling(['ca', 'path'])).exitCode).toBe(1)
  })

  test('is told by its owner or its disk, not as a bad database', async () => {
    const { ada } = people
    const directory = `${ada.home}/.local/share/pki/nssdb`
    await ada.sh('mkdir -p "$1"; certutil -N --empty-password -d "sql:$1"', directory)
    const id = '.local/share/pki/nssdb'
    const root = (script: string) => people.namespace.must('sh', ['-c', script, 'sh', directory])
    await root('mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"')
    expect((await act('install', ...stores)).outcomes[id]).toMatch(
      /^failed Chromium \(.*\) is on a read-only file system\.$/,
    )
    await root('umount "$1"; chown root "$1"/*; chmod 600 "$1"/*')
    const foreign = /^failed Chromium \(.*\) belongs to the user 0, not to ada\.$/
    expect((await act('install', ...stores)).outcomes[id]).toMatch(foreign)
    expect((await act('status', '--stores', 'nss')).outcomes[id]).toMatch(foreign)
  })

  test('is moved away where NSS cannot open it, and then made anew', async () => {
    const { ada } = people
    const file = `${ada.home}/.local/share/pki/nssdb/cert9.db`
    const id = '.local/share/pki/nssdb'
    // What was moved before is not overwritten.
    const make = 'mkdir -p "$(dirname "$1")"; echo no database >"$1"; echo kept >"$1.damaged"'
    await ada.sh(make, file)
    const said = /^failed Chromium \(.*\) is damaged: .*cert9\.db is no database\.$/
    expect((await act('install', ...stores)).outcomes[id]).toMatch(said)
    const { stdout } = await ada.rootling(['status', '--stores', 'nss'])
    // The lines are as long as a terminal is wide.
    const [hint = 'false'] = /mv \S+ \S+\.damaged-2/.exec(stdout.replace(/\s+/g, ' ')) ?? []
    expect(await ada.sh(hint)).toMatchObject({ exitCode: 0 })
    expect((await ada.sh('cat "$1.damaged"', file)).stdout).toBe('kept\n')
    expect((await act('install', ...stores)).outcomes[id]).toBe('installed')
  })

  test('is not needed to learn that a root has expired, which status says by its exit code', async () => {
    const { namespace, command } = people
    const later = `${namespace.home}/later.cjs`
    await namespace.writeFile(
      later,
      'const D = Date; globalThis.Date = class extends D { constructor(...a) { super(...(a.length ? a : [D.now() + 40 * 365 * 864e5])) } }',
    )
    const rootling = (flags: readonly string[], ...args: string[]) =>
      namespace.run(command[0], [...flags, command[1], ...args, '--stores', 'nss'])
    expect(await rootling([], 'install', '--yes')).toMatchObject({ exitCode: 0 })
    const status = (...flags: string[]) => rootling(flags, 'status')
    expect((await status()).exitCode).toBe(0)
    const expired = await status('-r', later)
    expect(expired.exitCode).toBe(4)
    expect(expired.stderr).toContain(
      'The scope local has ended. To replace it without a gap: rootling ca rotate local',
    )
    expect(expired.stderr).not.toContain('To fix it: rootling install')
  })
})
