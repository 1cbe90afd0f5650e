import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseAnswer } from '../../helpers/rootling.ts'
import { notInstalled } from './client.ts'
import { openPeople, peopleUnavailable, type People } from '../adversary/people.ts'

// For whom we work, where the system, sudo, doas and HOME do not agree.

const obstacle = await peopleUnavailable('setpriv', 'certutil')
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

describe.skipIf(obstacle !== null)(`the person${skipNote}`, () => {
  let people: People

  beforeEach(async () => {
    people = await openPeople()
  })
  afterEach(() => people.namespace.close())

  /** Runs the command as a user, with these variables and PATH alone. */
  async function rootling(uid: number, env: Record<string, string>, ...args: string[]) {
    const { namespace, command } = people
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`)
    const words = ['env', '-i', '--chdir=/', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', ...variables]
    const ids = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--']
    const line = [...ids, ...words, ...command, ...args]
    const { exitCode, stdout, stderr } = await namespace.run('setpriv', line)
    return { exitCode, stdout, stderr }
  }

  const stranger = 54321
  const sh = async (script: string, ...words: string[]) =>
    (await people.namespace.must('sh', ['-c', script, 'sh', ...words])).stdout.trim()

  /** What stands in a home besides what a new user's has. */
  const added = (home: string) =>
    sh('find "$1" -mindepth 1 ! -name ".bash*" ! -name .profile', home)

  test('who is a number without a name and without HOME gets help, and one sentence', async () => {
    for (const args of [['--help'], ['issue', '--help'], ['--version']])
      expect(await rootling(stranger, {}, ...args)).toMatchObject({ exitCode: 0, stderr: '' })
    for (const args of [['status'], ['localhost'], ['install', '--yes'], ['uninstall', '--yes']])
      expect(await rootling(stranger, {}, ...args)).toEqual({
        exitCode: 2,
        stdout: '',
        stderr: `Error: The user ${stranger} has no home directory: HOME is not set, and the system does not know this user.
  → export ROOTLING_HOME=DIRECTORY, with the absolute path of a directory that you can write to
`,
      })
  })

  test('who is such a number works with ROOTLING_HOME, or with a HOME', async () => {
    const home = `${people.scratch}/stranger`
    await sh(`mkdir "$1"; chown ${stranger}:${stranger} "$1"`, home)
    for (const env of [{ ROOTLING_HOME: `${home}/state` }, { HOME: home }]) {
      const installed = await rootling(stranger, env, 'install', '--yes', '--stores', 'java')
      expect(`${installed.exitCode} ${installed.stderr}`).toMatch(/^[34] Created the certificate/)
      expect(
        await rootling(stranger, env, 'localhost', '--force', '--out-dir', home),
      ).toMatchObject({ exitCode: 0 })
      expect(await rootling(stranger, env, 'uninstall', '--delete-ca', '--yes')).toMatchObject({
        exitCode: expect.toSatisfy((code) => code === 0 || code === 3),
        stderr: expect.not.stringContaining('unexpected'),
      })
    }
  })

  test.each([
    ['', 'HOME is empty.'],
    ['/', 'The home directory is /, which is not a directory of one user.'],
    ['//.', 'The home directory is //., which is not a directory of one user.'],
    ['here', 'HOME must be an absolute path, not here.'],
  ])('whose HOME is “%s” is told so, with the line that helps', async (HOME, sentence) => {
    const uid = Number(await sh('id -u ada'))
    for (const [user, hint] of [
      [uid, `export HOME=${people.ada.home}`],
      [0, `export HOME=${people.namespace.home}`],
      [
        stranger,
        'export ROOTLING_HOME=DIRECTORY, with the absolute path of a directory that you can write to',
      ],
    ] as const)
      expect(await rootling(user, { HOME }, 'install', '--yes', '--stores', 'nss')).toEqual({
        exitCode: 2,
        stdout: '',
        stderr: `Error: ${sentence}\n  → ${hint}\n`,
      })
    expect(await sh('ls -d /.local /.pki /here 2>&1 | grep -vc "No such file" || true')).toBe('0')
  })

  test('who may not write in HOME is told which directory refuses, and of ROOTLING_HOME', async () => {
    const uid = Number(await sh('id -u ada'))
    await sh('chown root "$1"', people.ada.home)
    const denied = await rootling(uid, { HOME: people.ada.home }, 'install', '--yes')
    expect(denied).toMatchObject({ exitCode: 1, stdout: '' })
    const directory = `${people.ada.home}/.local/share/rootling`
    expect(denied.stderr).toBe(
      `Error: ${directory} could not be written: permission is denied.\n  → Choose another directory, or check who owns this one: ls -ld ${people.ada.home}\n`,
    )
    await sh('mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"', people.ada.home)
    const readOnly = await rootling(uid, { HOME: people.ada.home }, 'install', '--yes')
    expect(readOnly).toMatchObject({ exitCode: 1, stdout: '' })
    expect(readOnly.stderr).toBe(
      `Error: ${directory} could not be written: the file system is read-only.\n  → Choose a directory on another file system\n`,
    )
    const elsewhere = { HOME: people.ada.home, ROOTLING_HOME: `${people.scratch}/tmp/state` }
    expect(await rootling(uid, elsewhere, 'localhost', '--out-dir', '/tmp')).not.toMatchObject({
      exitCode: 2,
    })
  })

  test.each(['DOAS_USER=ada', 'PKEXEC_UID', 'SUDO_USER=ada', 'SUDO_UID'])(
    'who called root by %s has all at home, and theirs',
    async (claim) => {
      const { ada } = people
      const uid = await sh('id -u ada')
      const [name = '', value = uid] = claim.split('=')
      for (const HOME of [people.namespace.home, ada.home, people.mallory.home]) {
        const env = { [name]: value, HOME }
        await rootling(0, env, 'install', '--yes', '--stores', 'nss')
        const { stdout } = await rootling(0, env, 'ca', 'path')
        expect(stdout).toBe(`${ada.home}/.local/share/rootling/roots.pem\n`)
      }
      expect(await sh('find "$1" ! -user ada', ada.home)).toBe('')
      expect(await added(people.namespace.home)).toBe('')
      expect(await added(people.mallory.home)).toBe('')
      const listed = await ada.rootling(['ca', 'list', '--json'])
      expect(JSON.parse(listed.stdout)).toMatchObject({ scopes: [{ name: 'local' }] })
    },
  )

  /** Gives ada a project, and returns a function that reads the step of its certificate. */
  async function openProject() {
    const { ada } = people
    const [cert, key] = ['.certs/a.pem', '.certs/a-key.pem']
    const members = { version: 1, certificates: [{ names: ['a.localhost'], cert, key }] }
    await ada.sh('mkdir shop; printf %s "$1" > shop/rootling.json', JSON.stringify(members))
    expect((await ada.rootling(['install', '--yes', '--stores', 'none'])).exitCode).toBe(0)
    const directory = `${ada.home}/shop`
    return { directory, line: ['up', '--yes', '--no-sudo', '--stores', 'nss', '--json'] }
  }

  /** What `up --json` says of the certificate, or of the file that it refuses. */
  const outcomeIn = ({ stdout, stderr }: { stdout: string; stderr: string }): unknown => {
    const { steps, error } = parseAnswer(stdout, stderr) as {
      steps?: { code: string; outcome: string }[]
      error?: { message: string; faults?: { message: string }[] }
    }
    return (
      steps?.find(({ code }) => code === 'certificate')?.outcome ??
      error?.faults?.map(({ message }) => message).join()
    )
  }

  test.each(['DOAS_USER=ada', 'PKEXEC_UID', 'SUDO_USER=ada', 'SUDO_UID'])(
    'who called root by %s has a project brought up over their own files, and over nobody else’s',
    async (claim) => {
      const { directory, line } = await openProject()
      const [name = '', value = await sh('id -u ada')] = claim.split('=')
      const up = async () => {
        const words = ['env', `--chdir=${directory}`, ...people.command, ...line]
        const env = { [name]: value, HOME: people.ada.home }
        return outcomeIn(await people.namespace.run(words[0] ?? '', words.slice(1), { env }))
      }
      expect(await up()).toBe('changed')
      expect(await sh('stat -c %U "$1"/.certs/*', directory)).toBe('ada\nada')
      expect(await up()).toBe('unchanged')
      await sh('chown mallory "$1/.certs/a.pem"', directory)
      expect(await up()).toContain('belongs to another user')
    },
  )

  test.for([
    ['sudo', '/etc/sudoers.d/ada', 'ada ALL=(ALL) NOPASSWD: ALL'],
    ['doas', '/etc/doas.conf', 'permit nopass ada'],
  ] as const)('who types %s before a command is found by it', async (row, { skip }) => {
    const [program, path, rule] = row
    const missing = await notInstalled(program)
    skip(missing !== null, missing ?? '')
    const { directory, line } = await openProject()
    await sh('mkdir -p "${1%/*}"; printf "%s\\n" "$2" > "$1"; chmod 0440 "$1"', path, rule)
    const up = async () => {
      const words = [`--chdir=${directory}`, program, ...people.command, ...line]
      return outcomeIn(await people.ada.run('env', words))
    }
    expect(await up()).toBe('changed')
    expect(await sh('stat -c %U "$1"/.certs/*', directory)).toBe('ada\nada')
    expect(await up()).toBe('unchanged')
  })

  test('is asked for where root has another user’s HOME, and nobody is named', async () => {
    const { ada, namespace } = people
    const uid = await sh('id -u ada')
    const refused = {
      exitCode: 2,
      stdout: '',
      stderr: `Error: Root would write to ${ada.home}/.local/share/rootling, but ${ada.home} belongs to the user ${uid}.
  → To work for root: env -u XDG_DATA_HOME HOME=${namespace.home} rootling …. To work for that user: run it as that user
`,
    }
    for (const args of [['install', '--yes'], ['localhost'], ['status']])
      expect(await rootling(0, { HOME: ada.home }, ...args)).toEqual(refused)
    const share = { HOME: namespace.home, XDG_DATA_HOME: `${ada.home}/.local/share` }
    expect(await rootling(0, share, 'install', '--yes')).toEqual(refused)
    // The authority may be elsewhere, the browsers are still those of ada.
    const elsewhere = { HOME: ada.home, ROOTLING_HOME: `${people.scratch}/tmp/state` }
    expect(await rootling(0, elsewhere, 'install', '--yes', '--stores', 'nss')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining(
        `Root runs with HOME=${ada.home}, which belongs to the user ${uid}.\n  → To work for root: HOME=${namespace.home} rootling …`,
      ),
    })
    expect(await added(ada.home)).toBe('')
    const own = await rootling(0, { HOME: namespace.home }, 'install', '--yes', '--stores', 'nss')
    expect(own.stderr).toContain('in ~/.local/share/rootling.')
    await sh('test -d "$1/.local/share/rootling/scopes"', namespace.home)
  })

  test('who is root in a home on another owner’s mount is told of ROOTLING_HOME', async () => {
    const { home } = people.namespace
    const uid = await sh('id -u ada')
    await sh('chown ada "$1"', home)
    const refused = await rootling(0, { HOME: home }, 'install', '--yes', '--stores', 'nss')
    expect(refused).toEqual({
      exitCode: 2,
      stdout: '',
      stderr: `Error: Root would write to ${home}/.local/share/rootling, but ${home} belongs to the user ${uid}.
  → export ROOTLING_HOME=DIRECTORY, with the absolute path of a directory that you can write to
`,
    })
    const env = { HOME: home, ROOTLING_HOME: `${people.scratch}/tmp/state` }
    const created = await rootling(0, env, 'install', '--yes', '--stores', 'nss')
    expect(created.stderr).toContain(`in ${people.scratch}/tmp/state.`)
  })

  test('is root where HOME belongs to a user whom the system does not know, as in CI', async () => {
    // GitHub Actions mounts /github/home of the host's user 1001 into containers.
    const home = `${people.scratch}/tmp/github-home`
    await sh('mkdir -p "$1" && chown 54321 "$1"', home)
    const env = { HOME: home }
    const created = await rootling(0, env, 'install', '--yes', '--stores', 'nss')
    expect(created.stderr).toContain('in ~/.local/share/rootling.')
    await sh('test -d "$1/.local/share/rootling/scopes"', home)
    expect(await rootling(0, env, 'localhost', '--out-dir', home)).toMatchObject({ exitCode: 0 })
  })

  test.each([
    [
      { SUDO_UID: '54321' },
      'SUDO_UID is 54321, and the system does not know that user.',
      'To work for root: env -u SUDO_UID rootling …',
    ],
    [
      { DOAS_USER: 'nobody-here' },
      'DOAS_USER is nobody-here, and the system does not know that user.',
      'To work for root: env -u DOAS_USER rootling …',
    ],
    [
      { SUDO_UID: '-1', SUDO_USER: 'ada' },
      'SUDO_UID is -1, and the system does not know that user.',
      'To work for root: env -u SUDO_UID rootling …',
    ],
    [
      { SUDO_USER: 'mallory', DOAS_USER: 'ada' },
      'SUDO_USER names mallory, but DOAS_USER names ada.',
      'To work for mallory: env -u DOAS_USER rootling …. To work for ada: env -u SUDO_USER rootling …',
    ],
  ])('is not guessed from %j', async (claims, sentence, hint) => {
    const env = { HOME: people.namespace.home, ...claims }
    expect(await rootling(0, env, 'install', '--yes')).toEqual({
      exitCode: 2,
      stdout: '',
      stderr: `Error: ${sentence}\n  → ${hint}\n`,
    })
    expect(await added(people.namespace.home)).toBe('')
  })

  test.each([
    ['a classic snap', {}],
    ['a strict snap', { HOME: '/home/ada/snap/code/180', SNAP_REAL_HOME: '/home/ada' }],
  ])(
    'who types in a terminal inside %s has the same authority and browsers as elsewhere',
    async (_what, homes) => {
      const { ada } = people
      const profile = `${ada.home}/.config/mozilla/firefox/a.default`
      await ada.sh('mkdir -p "$1"; certutil -N --empty-password -d "sql:$1"', profile)
      const snap = `${ada.home}/snap/code/180`
      const env = {
        ...Object.fromEntries(
          Object.entries(homes).map(([name, home]) => [name, home.replace('/home/ada', ada.home)]),
        ),
        SNAP: '/snap/code/180',
        XDG_DATA_HOME: `${snap}/.local/share`,
        XDG_CONFIG_HOME: `${snap}/.config`,
      }
      const line = ['install', '--yes', '--stores', 'nss', '--json']
      const outcomesOf = ({ stdout, stderr }: { stdout: string; stderr: string }) =>
        (parseAnswer(stdout, stderr).stores ?? []).map(
          ({ store, outcome }) => `${store.id} ${outcome}`,
        )
      const installed = await ada.rootling(line, { env })
      expect(outcomesOf(installed)).toContain(`nss:${profile} installed`)
      const { stdout } = await ada.rootling(['ca', 'path'])
      expect(stdout).toBe(`${ada.home}/.local/share/rootling/roots.pem\n`)
      const asked = await ada.rootling(['status', '--stores', 'nss', '--json'])
      expect(outcomesOf(asked)).toContain(`nss:${profile} trusted`)
      const unit = await ada.rootling(['daemon', 'install', '--json'], { env })
      expect(unit.stdout).toContain(`${ada.home}/.config/systemd/user/`)
      await ada.rootling(['daemon', 'stop'])
      expect(await ada.sh('ls -d "$1"', snap)).not.toMatchObject({ exitCode: 0 })
    },
  )

  test('is not whom a user without root names', async () => {
    const uid = Number(await sh('id -u mallory'))
    const env = { HOME: people.mallory.home, SUDO_UID: await sh('id -u ada'), DOAS_USER: 'ada' }
    const { stderr } = await rootling(uid, env, 'install', '--yes', '--stores', 'nss', '--no-sudo')
    expect(stderr).toContain('in ~/.local/share/rootling.')
    await sh('test -d "$1/.local/share/rootling/scopes"', people.mallory.home)
  })
})
