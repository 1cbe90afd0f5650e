import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parseAnswer, summary } from '../../helpers/rootling.ts'
import { openPeople, peopleUnavailable, type People, type Person } from './people.ts'

// Programs and variables that somebody planted where we look: PATH, JAVA_HOME, HOME, XDG_*, IFS.

const obstacle = await peopleUnavailable('sudo', 'certutil', 'update-ca-certificates', 'keytool')
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`
const tools = [
  'certutil',
  'pk12util',
  'keytool',
  'update-ca-certificates',
  'update-ca-trust',
  'trust',
  'sudo',
  'install',
  'rm',
  'rmdir',
  'getent',
  'id',
  'java',
  'sh',
]

describe.skipIf(obstacle !== null)(`what was planted before us${skipNote}`, () => {
  let people: People
  let ada: Person
  /** Fakes of every tool that we run; each notes whose uid ran it, and says that all went well. */
  let fakes: string
  let marks: string
  let systemPath: string

  beforeEach(async () => {
    people = await openPeople()
    ;({ ada } = people)
    fakes = `${ada.home}/bin`
    marks = `${people.scratch}/tmp/marks`
    systemPath = (await ada.sh('printf %s "$PATH"')).stdout
    const plant = `
      set -e; mkdir -p "$1" "$HOME/jdk/bin" "$HOME/jdk/lib/security"
      directory=$1; marks=$2; shift 2
      for tool; do
        printf '#!/bin/sh\\necho "$(/usr/bin/id -u) %s" >> %s\\nexit 0\\n' "$tool" "$marks" > "$directory/$tool"
        chmod 755 "$directory/$tool"
      done
      : > "$marks"; chmod 666 "$marks"
      cp "$directory/keytool" "$directory/java" "$HOME/jdk/bin/"
      cp /etc/ssl/certs/java/cacerts "$HOME/jdk/lib/security/cacerts"`
    await ada.sh(plant, fakes, marks, ...tools)
    // sudo keeps everything that it can be told to keep, PATH included.
    const rules = [
      'Defaults !env_reset',
      'Defaults !secure_path',
      'Defaults env_keep += "PATH HOME JAVA_HOME TMPDIR XDG_DATA_HOME"',
      'ada ALL=(ALL) NOPASSWD: SETENV: ALL',
    ]
    await people.namespace.must('sh', ['-c', 'rm -rf /etc/sudoers.d; mkdir -m 755 /etc/sudoers.d'])
    await people.namespace.writeFile('/etc/sudoers.d/ada', `${rules.join('\n')}\n`)
    await people.namespace.must('chmod', ['0440', '/etc/sudoers.d/ada'])
  })
  afterEach(() => people.namespace.close())

  const marked = async () =>
    ((await people.namespace.readFile(marks)) ?? '').split('\n').filter((line) => line !== '')
  const poisoned = () => ({ PATH: `${fakes}:${systemPath}`, JAVA_HOME: `${ada.home}/jdk` })

  test('is not run by root itself', async () => {
    const env = { ...poisoned(), ROOTLING_HOME: `${people.scratch}/root-state` }
    const line = [...people.command, 'install', '--yes', '--json']
    const finished = await people.namespace.run(line[0] ?? '', line.slice(1), {
      env,
    })
    const { exitCode, stdout, stderr } = finished
    expect(`${exitCode} ${stderr}`).toMatch(/^[03] /)
    expect(summary(parseAnswer(stdout, stderr))).toContain('system installed')
    expect(await marked()).toEqual([])
  })

  test('is not run as root through sudo, though sudo keeps the whole environment', async () => {
    const env = poisoned()
    const sudo = (...words: string[]) =>
      ada.run('/usr/bin/sudo', ['-E', ...people.command, ...words, '--json'], { env })
    const installed = await sudo('install', '--yes')
    expect(summary(parseAnswer(installed.stdout, installed.stderr))).toContain('system installed')
    const removed = await sudo('uninstall', '--yes')
    expect(summary(parseAnswer(removed.stdout, removed.stderr))).toContain('system removed')
    expect((await marked()).filter((line) => line.startsWith('0 '))).toEqual([])
  })

  test('is not run as root by a person’s own rootling either, and sudo itself is the system’s', async () => {
    const { stdout, stderr } = await ada.rootling(['install', '--yes', '--json'], {
      env: poisoned(),
    })
    expect(summary(parseAnswer(stdout, stderr))).toContain('system installed')
    const seen = await marked()
    expect(seen.filter((line) => line.startsWith('0 ') || line.endsWith(' sudo'))).toEqual([])
    // The fakes are found by what runs as the person: PATH is theirs to choose.
    expect(seen).toContainEqual(expect.stringMatching(/^\d+ certutil$/))
  })

  test('as HOME or XDG_DATA_HOME of another user does not make sudo write there', async () => {
    const mallory = people.mallory.home
    await people.mallory.sh('chmod 777 "$HOME"')
    const env = { HOME: mallory, XDG_DATA_HOME: `${mallory}/share`, PATH: systemPath }
    const sudo = (...words: string[]) =>
      ada.run('/usr/bin/sudo', ['-E', ...people.command, ...words], { env })
    await sudo('install', '--yes', '--stores', 'nss')
    const issued = await sudo('localhost', '--out-dir', `${ada.home}/new/site`)
    expect(`${issued.exitCode} ${issued.stderr}`).toMatch(/^0 /)
    const foreign = `find "$1" -name '*rootling*' -o -name share; find "$2" ! -user ada`
    const found = await people.namespace.must('sh', ['-c', foreign, 'sh', mallory, ada.home])
    expect(found.stdout).toBe('')
    const listed = await ada.rootling(['list', '--json'])
    expect(JSON.parse(listed.stdout)).toMatchObject({ certificates: [{ names: ['localhost'] }] })
  })

  test('as a command of a renewal runs as the person, with sudo too', async () => {
    await ada.rootling(['install', '--yes', '--stores', 'nss'])
    const hook = `id -un > ${ada.home}/who; id -Gn >> ${ada.home}/who`
    const issued = await ada.rootling(['localhost', '--on-renew', hook])
    expect(issued.exitCode).toBe(0)
    const env = { PATH: systemPath }
    const renewed = await ada.run('/usr/bin/sudo', [...people.command, 'renew', '--all'], { env })
    expect(`${renewed.exitCode} ${renewed.stderr}`).toMatch(/^0 /)
    expect((await ada.sh('cat who; stat -c %U who')).stdout).toBe('ada\nada\nada\n')
  })

  test('as a variable is refused, ignored or harmless, and never moves keys into the project', async () => {
    await ada.rootling(['install', '--yes', '--stores', 'nss'])
    const issue = async (env: Record<string, string>) => {
      const { exitCode, stdout, stderr } = await ada.rootling(['localhost', '--json'], { env })
      return [
        exitCode,
        exitCode === 0
          ? 'ok'
          : (JSON.parse(stdout) as { error: { message: string } }).error.message,
        stderr.includes('unexpected'),
      ]
    }
    const fine = [0, 'ok', false]
    // The XDG specification has relative paths ignored; a relative HOME has no such rule.
    expect(await issue({ XDG_DATA_HOME: 'relative' })).toEqual(fine)
    expect(await issue({ XDG_DATA_HOME: '' })).toEqual(fine)
    expect(await issue({ HOME: 'relative' })).toEqual([
      2,
      'HOME must be an absolute path, not relative.',
      false,
    ])
    expect(await issue({ ROOTLING_HOME: 'relative' })).toEqual([
      2,
      'ROOTLING_HOME must be an absolute path, not relative.',
      false,
    ])
    expect(await issue({ IFS: '/.', ENV: `${fakes}/sh`, BASH_ENV: `${fakes}/sh` })).toEqual(fine)
    expect(
      await issue({ OPENSSL_CONF: '/nonexistent/openssl.cnf', SSL_CERT_FILE: '/etc/passwd' }),
    ).toEqual(fine)
    expect(await issue({ TMPDIR: '/nonexistent' })).toEqual(fine)
    expect((await ada.sh('ls -d relative */rootling 2>&1')).stdout).toMatch(
      /cannot access 'relative'/,
    )
    expect(await marked()).toEqual([])
  })

  test('as NODE_OPTIONS, JAVA_TOOL_OPTIONS or NODE_EXTRA_CA_CERTS reaches none of the tools that we run', async () => {
    // Debian's sh, as a tool that tells what it was given.
    const tell = `#!/bin/sh\\n/usr/bin/env >> ${marks}\\nexit 0\\n`
    await ada.sh('printf "$1" > "$2/certutil"', tell, fakes)
    const env = {
      ...poisoned(),
      NODE_OPTIONS: '--no-warnings',
      NODE_EXTRA_CA_CERTS: '/etc/ssl/certs/ca-certificates.crt',
      JAVA_TOOL_OPTIONS: '-Dplanted=1',
      _JAVA_OPTIONS: '-Dplanted=1',
      JDK_JAVA_OPTIONS: '-Dplanted=1',
    }
    await ada.rootling(['install', '--yes', '--no-sudo', '--stores', 'nss'], { env })
    const seen = (await marked()).join('\n')
    expect(seen).toMatch(/^LC_ALL=C\.UTF-8$/m)
    expect(seen).not.toMatch(/^NODE_|JAVA_\w*OPTIONS/m)
  })
})
