import { existsSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { waitFor } from '../../helpers/subprocess.ts'
import { openPeople, peopleUnavailable, type People, type Person } from './people.ts'

// Another user of the same machine: a real account, real commands, no stub between.

const obstacle = await peopleUnavailable('setpriv')
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

describe.skipIf(obstacle !== null)(`another local user${skipNote}`, () => {
  let people: People
  let ada: Person
  let mallory: Person
  const stateOf = ({ home }: Person) => `${home}/.local/share/rootling`

  beforeEach(async () => {
    people = await openPeople()
    ;({ ada, mallory } = people)
  })
  afterEach(() => people.namespace.close())

  /** Made by the command itself; the stores that need root are refused, which exits with 3. */
  async function withAuthority(person: Person, umask = '022'): Promise<string> {
    const line = 'umask $1; shift; mkdir -p "$HOME/.local/share" && "$@" install --yes --stores nss'
    const made = await person.sh(line, umask, ...people.command)
    expect(`${made.exitCode} ${made.stderr}`).toMatch(/^[03] Created/)
    return stateOf(person)
  }

  const find = async (...args: string[]) =>
    (await people.namespace.must('find', args)).stdout.split('\n').filter((line) => line !== '')

  test('can read, write, list and connect to nothing, even after umask 000', async () => {
    // The directories above are as open as they can be: what is tested is the state directory.
    await ada.sh('umask 000; mkdir -p .local/share site; chmod 1777 .local .local/share')
    const state = await withAuthority(ada, '000')
    const daemon = ['daemon', 'start', '--acme-port=0', '--revocation-port=0']
    const started = await ada.sh('umask 000; "$@"', ...people.command, ...daemon)
    expect(started).toMatchObject({ exitCode: 0 })
    await ada.sh('umask 000; cd site; "$@"', ...people.command, 'issue', 'localhost', '--full')
    await ada.sh('umask 000; cd site; "$@"', ...people.command, 'localhost', '--out-dir', 'made')

    const paths = await find(state)
    for (const part of ['intermediate-key.pem', 'certificates.jsonl', 'control.sock', 'daemon.log'])
      expect(paths.filter((path) => path.endsWith(part))).toHaveLength(1)
    const probe = `
      for path; do
        if [ -r "$path" ] || [ -w "$path" ] || [ -x "$path" ]; then echo "open: $path"; fi
        if cat "$path" 2>/dev/null || ls "$path" 2>/dev/null; then echo "read: $path"; fi
        if touch "$path" 2>/dev/null || rm -rf "$path" 2>/dev/null; then echo "changed: $path"; fi
      done`
    expect((await mallory.sh(probe, ...paths)).stdout).toBe('')
    expect(await find(state)).toEqual(paths)
    const connect = `require('net').connect(process.argv[1])
      .on('connect', () => console.log('connected')).on('error', (e) => console.log(e.code))`
    const socket = paths.find((path) => path.endsWith('control.sock')) ?? ''
    const dialled = (person: Person) =>
      person.run(people.command[0], ['-e', `${connect}; setTimeout(process.exit, 500)`, socket])
    expect((await dialled(mallory)).stdout).toBe('EACCES\n')
    // The probes find what is there to be found: the owner's answers differ.
    expect((await dialled(ada)).stdout).toBe('connected\n')
    expect((await ada.sh(probe.replace(/if touch.*/, ''), `${state}/lock`)).stdout).toContain(
      'open',
    )

    const secret = await find(`${ada.home}/site`, '-name', '*key.pem', '-o', '-name', '*full.pem')
    expect(secret).toHaveLength(3)
    const read = await mallory.sh('cat "$@" 2>&1', ...secret)
    expect(read.stdout).not.toContain('PRIVATE')
    expect(await find(`${ada.home}/site/made`, '-maxdepth', '0', '-perm', '-o+w')).toEqual([])
    // Each in a directory of hers or closed by itself, none of another owner.
    expect(await find(state, '!', '-user', 'ada')).toEqual([])
    expect(await find(state, '-perm', '/022', '!', '-type', 'l')).toEqual([])
    expect((await ada.rootling(['daemon', 'stop'])).exitCode).toBe(0)
  })

  test('who reads or owns the key makes it refused, with the command that mends it', async () => {
    const state = await withAuthority(ada)
    const key = `${state}/scopes/local/intermediate-key.pem`
    await ada.sh('chmod 644 "$1"', key)
    const open = await ada.rootling(['localhost', '--json'])
    expect(JSON.parse(open.stdout)).toMatchObject({
      error: { code: 'loose-key', hint: `chmod 600 ${key}` },
    })
    await ada.sh('chmod 600 "$1"', key)
    await people.namespace.must('chown', ['mallory', key])
    const owned = await ada.rootling(['localhost', '--json'])
    expect(owned.exitCode).toBe(1)
    expect(owned.stdout).toMatch(/belongs to another user|cannot be read/)
    await people.namespace.must('chown', ['ada', key])
    expect(await ada.rootling(['localhost'])).toMatchObject({ exitCode: 0 })
  })

  test('cannot put an authority of theirs in the place of ours', async () => {
    const theirs = await withAuthority(mallory)
    await ada.sh('mkdir -p -m 755 .local; mkdir -p .local/share; chmod 777 .local/share')
    // Everybody may rename in there: Mallory's directory becomes Ada's.
    const planted = await mallory.sh(
      'chmod -R go+rX "$1"; chmod 755 "$1"; mv "$1" "$2"',
      theirs,
      stateOf(ada),
    )
    expect(planted).toMatchObject({ exitCode: 0 })
    const commands = [
      ['install', '--yes', '--stores', 'nss'],
      ['localhost'],
      ['list'],
      ['renew', '--all'],
      ['ca', 'path'],
    ]
    for (const line of commands) {
      const refused = await ada.rootling([...line, '--json'])
      const { error } = JSON.parse(refused.stdout) as { error: { code: string; message: string } }
      expect([line[0], error.code]).toEqual([line[0], 'loose-key'])
      expect(error.message).toContain('belongs to another user')
    }
    expect(await find(ada.home, '-name', 'cert9.db')).toEqual([])
  })

  test('whose XDG_RUNTIME_DIR or TMPDIR we are given learns nothing there', async () => {
    await mallory.sh('mkdir -m 777 "$HOME/run" "$HOME/tmp"')
    const runtime = `${mallory.home}/tmp`
    // Too long for a socket's path: the socket goes to the runtime directory.
    const home = `${ada.home}/${'d'.repeat(60)}/${'e'.repeat(60)}`
    for (const name of ['XDG_RUNTIME_DIR', 'TMPDIR']) {
      // A runtime directory in which others can write is passed over.
      const given = name === 'TMPDIR' ? {} : { XDG_RUNTIME_DIR: `${mallory.home}/run` }
      const env = { ROOTLING_HOME: home, TMPDIR: runtime, ...given }
      const daemon = (...words: string[]) => ada.rootling(['daemon', ...words, '--json'], { env })
      await ada.rootling(['install', '--yes', '--stores', 'nss'], { env })
      const start = ['start', '--acme-port=0', '--revocation-port=0']
      const started = await daemon(...start)
      expect(`${started.exitCode} ${started.stdout}`).toMatch(/^0 /)
      const [directory = ''] = await find(
        runtime,
        '-maxdepth',
        '1',
        '-name',
        'rootling-*',
        '-user',
        'ada',
      )
      expect(directory).toMatch(/\/rootling-[0-9a-f]{16}$/)
      expect(await find(`${mallory.home}/run`, '-mindepth', '1')).toEqual([])
      expect((await mallory.sh('ls "$1"', directory)).exitCode).not.toBe(0)
      // Mallory owns the directory above, so a listener of hers can stand there instead.
      const fake = `
        const fs = require('fs'), net = require('net'), [, directory, log] = process.argv
        fs.renameSync(directory, directory + '.away'); fs.mkdirSync(directory, { mode: 0o777 })
        net.createServer((socket) => {
          socket.write(JSON.stringify({ version: 1, challenge: 'a'.repeat(64) }) + '\\n')
          socket.on('data', (data) => {
            fs.appendFileSync(log, data)
            socket.write(JSON.stringify({ proof: 'b'.repeat(64) }) + '\\n')
          })
          socket.on('error', () => {})
          socket.on('close', () => setTimeout(process.exit, 200))
        }).listen(directory + '/control.sock', () => { fs.chmodSync(directory + '/control.sock', 0o777); console.log('up') })
        setTimeout(process.exit, 900000)`
      const log = `${mallory.home}/log-${name}`
      const listening = mallory.run(people.command[0], ['-e', fake, directory, log])
      await waitFor('the listener of another user', async () => {
        const there = await mallory.sh('test -S "$1"', `${directory}/control.sock`)
        return there.exitCode === 0 ? true : null
      })
      const token = (
        JSON.parse((await people.namespace.readFile(`${home}/daemon-run.json`)) ?? '') as {
          token: string
        }
      ).token
      const asked = await daemon('status')
      expect(asked.stdout).toContain('What answers is not the daemon of this state directory.')
      const heard = (await people.namespace.readFile(log)) ?? ''
      expect(heard).toContain('"proof"')
      expect(heard).not.toContain(token)
      await mallory.sh('rm -rf "$1"; mv "$1.away" "$1"', directory)
      const stopped = await daemon('stop')
      expect(`${stopped.exitCode} ${stopped.stdout}`).toMatch(/^0 /)
      await listening.catch(() => undefined)

      // No name is known before: what she puts where the last one was stops nobody.
      await mallory.sh('rm -rf "$1"; mkdir -m 777 "$1"', directory)
      const again = await daemon(...start)
      expect(`${again.exitCode} ${again.stdout}`).toMatch(/^0 /)
      expect((await daemon('stop')).exitCode).toBe(0)
      await mallory.sh('rm -rf "$1"', directory)
      await people.namespace.must('rm', ['-rf', home, directory])
    }
  })

  test('who owns the directory of our files gets no key, and cannot make us sign one', async () => {
    await withAuthority(ada)
    await mallory.sh('mkdir -m 777 "$HOME/drop"')
    const drop = `${mallory.home}/drop`
    expect((await ada.rootling(['localhost', '--out-dir', drop])).exitCode).toBe(0)
    expect((await mallory.sh('cat "$1"/*-key.pem', drop)).exitCode).not.toBe(0)
    // Hers in the place of ours: key and certificate, with the number that ours has.
    const swap = `
      cd "$1" && mv localhost.pem was.pem && mv localhost-key.pem was-key.pem
      serial=$(openssl x509 -in was.pem -noout -serial | cut -d= -f2)
      openssl req -x509 -newkey rsa:2048 -nodes -subj /O=m -set_serial "0x$serial" \\
        -keyout localhost-key.pem -out localhost.pem 2>/dev/null
      chmod 644 *`
    await mallory.sh(swap, drop)
    const renewed = await ada.rootling(['renew', '--all', '--json'])
    expect(JSON.parse(renewed.stdout)).toMatchObject({
      renewals: [
        { outcome: 'skipped', reason: expect.stringContaining('changed by something else') },
      ],
    })
    const again = await ada.rootling(['localhost', '--out-dir', drop, '--json'])
    expect(JSON.parse(again.stdout)).toMatchObject({ error: { code: 'not-ours' } })
  })

  test('cannot run our commands on our files by naming our directories', async () => {
    const state = await withAuthority(ada)
    for (const env of [
      { HOME: ada.home },
      { ROOTLING_HOME: state },
      { XDG_DATA_HOME: `${ada.home}/.local/share` },
    ] as Record<string, string>[])
      for (const line of [
        ['list'],
        ['localhost', '--stdout'],
        ['ca', 'path'],
        ['daemon', 'status'],
        ['status'],
      ]) {
        const { exitCode, stdout, stderr } = await mallory.rootling([...line, '--json'], { env })
        expect([line[0], exitCode]).not.toEqual([line[0], 0])
        expect(stdout + stderr).toMatch(
          /cannot be read|could not be written|belongs to another user/,
        )
        expect(stdout).not.toMatch(/PRIVATE KEY|BEGIN CERTIFICATE|fingerprint/)
        expect(stdout + stderr).not.toContain('unexpected')
      }
    expect(await find(ada.home, '-user', 'mallory')).toEqual([])
  })

  test.skipIf(!existsSync('/usr/bin/lego'))(
    'gets no certificate from the ACME server of ours, unless by a key of ours',
    async () => {
      await withAuthority(ada)
      const ports = ['--acme-port=14601', '--http01-port=5002', '--revocation-port=0']
      expect(await ada.rootling(['daemon', 'start', ...ports])).toMatchObject({ exitCode: 0 })
      const { stdout: root } = await ada.rootling(['ca', 'path'])
      await people.namespace.must('cp', [root.trim(), `${people.scratch}/root.pem`])
      await people.namespace.must('chmod', ['644', `${people.scratch}/root.pem`])
      const order = async (person: Person, path: string, ...eab: string[]) => {
        const server = ['--server', 'https://localhost:14601/acme/directory', ...eab]
        const who = ['--email', 'me@example.test', '--accept-tos', '--domains', 'localhost']
        const how = ['--path', `${person.home}/${path}`, '--http', '--http.port', '127.0.0.1:5002']
        const env = { LEGO_CA_CERTIFICATES: `${people.scratch}/root.pem` }
        const words = [...server, ...who, ...how, 'run']
        const { exitCode, stdout, stderr } = await person.run('/usr/bin/lego', words, { env })
        return { exitCode, said: stdout + stderr }
      }
      expect(await order(mallory, 'unbound')).toMatchObject({
        exitCode: 1,
        said: expect.stringMatching(
          /externalAccountRequired[\s\S]*of another user of this machine/,
        ),
      })
      expect(await order(ada, 'own')).toMatchObject({ exitCode: 0 })
      const made = await ada.rootling(['acme', 'eab', 'create', '--json'])
      const { kid, hmacKey } = JSON.parse(made.stdout) as { kid: string; hmacKey: string }
      const bound = await order(mallory, 'bound', '--eab', '--kid', kid, '--hmac', hmacKey)
      expect(bound).toMatchObject({ exitCode: 0 })
      expect(await ada.rootling(['daemon', 'stop'])).toMatchObject({ exitCode: 0 })
    },
  )
})
