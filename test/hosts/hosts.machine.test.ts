import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { describe, expect, test } from 'vitest'
import { command } from '../helpers/built.ts'
import { commandForEverybody } from '../helpers/for-everybody.ts'
import { namespaceUnavailable } from '../helpers/namespace.ts'
import { rootlingIn } from '../helpers/rootling.ts'
import type { Finished } from '../helpers/subprocess.ts'
import { testNamespace } from '../helpers/test-namespace.ts'
import { notInstalled } from '../outside/e2e/client.ts'

// `rootling hosts` changes the hosts file of a namespace, and the system's own resolver reads it.

const missing = await Promise.all(['getent', 'sudo', 'useradd', 'runuser'].map(notInstalled))
const obstacle = namespaceUnavailable() ?? missing.find((reason) => reason !== null) ?? null
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

const hosts = '/etc/hosts'
const base = '127.0.0.1 localhost\r\n::1 localhost\r\n# \u00FC, no newline'

async function openMachine(text = base) {
  const namespace = await testNamespace()
  await namespace.writeFile(hosts, text)
  const resolve = async (name: string): Promise<string[]> => {
    const { stdout } = await namespace.run('getent', ['ahosts', name])
    return [...new Set(stdout.split('\n').flatMap((line) => line.split(' ')[0] || []))].toSorted()
  }
  const attributes = async (): Promise<string> =>
    (await namespace.must('stat', ['-L', '-c', '%u %g %a', hosts])).stdout
  const inode = async (): Promise<string> =>
    (await namespace.must('stat', ['-L', '-c', '%i %y', hosts])).stdout
  const besides = async (): Promise<string[]> => {
    const { stdout } = await namespace.must('ls', ['-A', '/etc'])
    return stdout.split('\n').filter((name) => name.startsWith('hosts.rootling'))
  }
  const read = () => namespace.readFile(hosts)
  return {
    namespace,
    rootling: rootlingIn(namespace),
    read,
    resolve,
    attributes,
    inode,
    besides,
  }
}

const both = ['127.0.0.1', '::1']

describe.skipIf(obstacle !== null)(`the hosts file of root${skipNote}`, () => {
  test('gets names that then resolve, and is as it was after their removal', async () => {
    const { namespace, rootling, read, resolve, attributes, inode, besides } = await openMachine()
    await namespace.must('sh', ['-c', `chown 7:8 ${hosts}; chmod 664 ${hosts}`])
    const attribute = 'trusted.note'
    const python = `import os, sys; print(getattr(os, sys.argv[1])('${hosts}', *map(os.fsencode, sys.argv[2:])))`
    await namespace.run('/usr/bin/python3', ['-c', python, 'setxattr', attribute, 'kept'])
    const xattrs = () => namespace.run('/usr/bin/python3', ['-c', python, 'listxattr'])
    const beforehand = (await xattrs()).stdout
    if (existsSync('/usr/bin/python3')) expect(beforehand).toContain(attribute)
    expect(await resolve('shop.test')).toEqual([])
    const added = await rootling.must(['hosts', 'add', 'Shop.test', 'bücher.test'])
    expect(added.stdout).toBe(
      '+ 127.0.0.1 shop.test\n+ ::1 shop.test\n+ 127.0.0.1 xn--bcher-kva.test\n+ ::1 xn--bcher-kva.test\n',
    )
    expect(await resolve('shop.test')).toEqual(both)
    expect(await resolve('xn--bcher-kva.test')).toEqual(both)
    expect(await attributes()).toBe('7 8 664\n')
    expect((await xattrs()).stdout).toBe(beforehand)

    const before = await inode()
    const again = await rootling.must(['hosts', 'add', 'shop.test'])
    expect(again).toMatchObject({ stdout: '', stderr: expect.stringContaining('already') })
    expect(await inode()).toBe(before)
    const listed = await rootling.json(['hosts', 'list'])
    expect(listed.answer).toMatchObject({
      file: hosts,
      user: 'root',
      changed: [],
      hosts: expect.arrayContaining([
        { name: 'shop.test', address: '::1', owners: [{ user: 'root', project: null }] },
      ]),
    })
    expect((await rootling.must(['hosts', 'list'])).stdout).toContain('127.0.0.1  shop.test')

    await rootling.must(['hosts', 'remove', 'shop.test'])
    expect(await resolve('shop.test')).toEqual([])
    expect(await resolve('xn--bcher-kva.test')).toEqual(both)
    await rootling.must(['hosts', 'remove', '--all'])
    expect(await read()).toBe(base)
    expect(await attributes()).toBe('7 8 664\n')
    expect(await besides()).toEqual([])
    const nothing = await rootling.must(['hosts', 'remove', 'shop.test'])
    expect(nothing.stderr).toContain('no line of yours for shop.test')
  })

  test('is not changed by a dry run, or by what is refused', async () => {
    const { namespace, rootling, read, inode } = await openMachine('10.0.0.5 staging.test\n')
    const before = await inode()
    const dry = await rootling.json(['hosts', 'add', 'shop.test', '--dry-run'])
    expect(dry.answer).toMatchObject({
      dryRun: true,
      added: both.map((address) => ({ name: 'shop.test', address })),
      removed: [],
    })
    const refused = async (args: string[], exitCode: number, code: string, message: RegExp) => {
      const said = await rootling.json(['hosts', 'add', ...args])
      expect(said.answer.error).toMatchObject({ code, message: expect.stringMatching(message) })
      expect(said.exitCode).toBe(exitCode)
      return said.answer.error?.hint
    }
    await refused(['*.shop.test'], 2, 'bad-name', /is a wildcard/)
    await refused(['shop.test', 'localhost'], 2, 'usage', /are left alone/)
    await refused(['shop.test', '--address', 'x'], 2, 'usage', /^x is not an IP address/)
    expect(await refused(['bank.com'], 2, 'usage', /^bank\.com is a name of the internet/)).toBe(
      'If you mean that: rootling hosts add bank.com --force',
    )
    const conflict = /another address than 127\.0\.0\.1, in line 1: 10\.0\.0\.5 staging\.test\.$/
    await refused(['shop.test', 'staging.test'], 1, 'hosts-conflict', conflict)
    expect((await rootling.run(['hosts', 'remove'])).exitCode).toBe(2)
    expect((await rootling.run(['hosts', 'remove', 'a.test', '--all'])).exitCode).toBe(2)
    expect(await inode()).toBe(before)
    expect(await read()).toBe('10.0.0.5 staging.test\n')

    await namespace.writeFile(hosts, '10.0.0.5 staging.test\n')
    const force = ['bank.com', '--force', '--address', '10.9.9.9']
    await rootling.must(['hosts', 'add', ...force])
    await rootling.must(['hosts', 'add', 'shop.test', 'staging.test', '--address', '10.0.0.5'])
    expect(await read()).not.toMatch(/staging\.test[^]*staging\.test/)
    await rootling.must(['hosts', 'add', 'shop.test'])
    expect(await read()).not.toContain('10.0.0.5 shop.test')
    await rootling.must(['hosts', 'remove', '--all'])
    expect(await read()).toBe('10.0.0.5 staging.test\n')
    await rootling.must(['hosts', 'add', 'bank.com', '--yes'])
    await rootling.must(['hosts', 'remove', 'bank.com', '--yes'])
    expect(await read()).toBe('10.0.0.5 staging.test\n')
  })

  test('is written in place where a container mounted it, also when the disk is full', async () => {
    const { namespace, rootling, read, resolve, besides } = await openMachine()
    const scratch = dirname(namespace.home)
    const script = `
      set -eu
      mkdir "$1/small"
      mount -t tmpfs -o size=8k tmpfs "$1/small"
      cat /etc/hosts > "$1/small/hosts"
      mount --bind "$1/small/hosts" /etc/hosts`
    await namespace.must('sh', ['-c', script, 'sh', scratch])
    await rootling.must(['hosts', 'add', 'shop.test', 'api.test'])
    expect(await resolve('shop.test')).toEqual(both)
    await rootling.must(['hosts', 'remove', 'api.test'])
    await rootling.must(['hosts', 'remove', 'shop.test'])
    expect(await read()).toBe(base)

    await namespace.must('sh', ['-c', 'yes "# full" | head -c 4000 >> /etc/hosts', 'sh'])
    await namespace.must('sh', [
      '-c',
      'cat /etc/hosts | head -c 4000 > "$1/small/filler"',
      'sh',
      scratch,
    ])
    const full = await read()
    const names = Array.from({ length: 50 }, (_, i) => `shop-${i}.test`)
    const failed = await rootling.json(['hosts', 'add', ...names])
    expect(failed.answer.error).toMatchObject({ code: 'hosts-failed' })
    expect(failed.exitCode).toBe(1)
    expect(await read()).toBe(full)
    expect(await besides()).toEqual([])
  })

  test('on a read-only disk stays as it is, and the error says so', async () => {
    const { namespace, rootling, read, besides } = await openMachine()
    await namespace.must('mount', ['--bind', '/etc', '/etc'])
    await namespace.must('mount', ['-o', 'remount,ro,bind', '/etc'])
    const { exitCode, answer } = await rootling.json(['hosts', 'add', 'shop.test'])
    expect(answer.error).toMatchObject({
      code: 'hosts-failed',
      message: expect.stringMatching(/^\/etc\/hosts was not changed: .*Read-only file system/),
      hint: expect.stringMatching(/mount it writable .*, then: rootling hosts add shop\.test$/),
    })
    expect(answer.error?.message).toBe('/etc/hosts was not changed: Read-only file system.')
    expect(exitCode).toBe(1)
    expect(await read()).toBe(base)
    expect(await besides()).toEqual([])
  })

  test('keeps octets that are no UTF-8', async () => {
    const { namespace, rootling } = await openMachine()
    await namespace.must('sh', ['-c', `printf '\\r\\n# f\\374r' >> ${hosts}`])
    const digest = async () => (await namespace.must('sha256sum', [hosts])).stdout
    const before = await digest()
    await rootling.must(['hosts', 'add', 'shop.test'])
    expect(await digest()).not.toBe(before)
    await rootling.must(['hosts', 'remove', 'shop.test'])
    expect(await digest()).toBe(before)
  })

  test('behind a link is changed where the link leads', async () => {
    const { namespace, rootling, read, resolve } = await openMachine()
    const script =
      'mkdir /etc/static; mv /etc/hosts /etc/static/hosts; ln -s static/hosts /etc/hosts'
    await namespace.must('sh', ['-c', script])
    await rootling.must(['hosts', 'add', 'shop.test'])
    expect(await resolve('shop.test')).toEqual(both)
    await namespace.must('test', ['-L', hosts])
    await rootling.must(['hosts', 'remove', 'shop.test'])
    expect(await read()).toBe(base)
  })

  test('is whole after a kill at any moment, also where it is mounted', async () => {
    const { namespace, rootling, read, besides } = await openMachine()
    const added = async () => {
      await rootling.must(['hosts', 'add', 'shop.test'])
      return read()
    }
    // A kill in the middle of a change in place may leave empty lines where lines of ours were, which
    // also end the line above them: they are no fault.
    const linesOf = (text: string | null): string | undefined =>
      text?.replace(' (the line above had no end)', '').split('\n').filter(Boolean).join('\n')
    const wholes = [base, await added()].map(linesOf)
    const script = `
      while [ ! -e /etc/stop ]; do
        for words in "remove --all" "add shop.test"; do
          timeout -s KILL "0.$(shuf -i 15-60 -n 1)" "$1" "$2" hosts $words
        done
      done`
    const killAtRandom = async (): Promise<void> => {
      const killer = namespace.spawn('sh', ['-c', script, 'sh', process.execPath, command])
      killer.stdout.resume()
      killer.stderr.resume()
      const ended = once(killer, 'close')
      const seen = new Set<string | undefined>()
      for (let i = 0; i < 60; i++) seen.add(linesOf(await read()))
      await namespace.writeFile('/etc/stop', '')
      await ended
      await namespace.must('rm', ['/etc/stop'])
      for (const text of seen) expect(wholes).toContain(text)
      await rootling.must(['hosts', 'add', 'shop.test', 'other.test'])
      await rootling.must(['hosts', 'remove', '--all'])
      expect((await read())?.trimEnd()).toBe(base)
      expect(await besides()).toEqual([])
    }
    await killAtRandom()
    await namespace.must('sh', [
      '-c',
      'cp /etc/hosts /etc/mounted; mount --bind /etc/mounted /etc/hosts',
    ])
    await killAtRandom()
  })

  test('is as before after uninstall, but for what somebody changed', async () => {
    const { namespace, rootling, read } = await openMachine()
    await rootling.must(['install', '--yes', '--stores', 'none'])
    await rootling.must(['hosts', 'add', 'shop.test', 'api.test'])
    const dry = await rootling.json(['uninstall', '--dry-run'])
    expect(dry.answer).toMatchObject({
      commands: expect.arrayContaining(['rootling hosts remove --all']),
    })
    const some = await rootling.json(['uninstall', '--yes', '--stores', 'nss'])
    expect(some.answer).toMatchObject({ hosts: { removed: [] } })
    const whole = await rootling.json(['uninstall', '--yes'])
    expect(whole.exitCode, whole.stderr).toBe(0)
    expect(whole.answer).toMatchObject({
      hosts: {
        file: hosts,
        removed: expect.arrayContaining([{ name: 'api.test', address: '::1' }]),
      },
    })
    expect(await read()).toBe(base)

    await rootling.must(['hosts', 'add', 'shop.test'])
    await namespace.must('sed', ['-i', 's/^::1 shop.test/10.0.0.9 shop.test/', hosts])
    const changed = await rootling.must(['uninstall', '--yes'])
    expect(changed.stderr).toMatch(
      /Left in \/etc\/hosts, since somebody changed them: 10\.0\.0\.9 shop\.test # root/,
    )
    expect(await read()).toMatch(
      /^[^]*no newline\r\n10\.0\.0\.9 shop\.test # root [0-9a-f]{8}\r\n$/,
    )
  })

  test('takes the names of several commands at once, and sweeps up after one that was killed', async () => {
    const { namespace, rootling, resolve, besides } = await openMachine()
    await namespace.writeFile(`${hosts}.rootling-999999999`, 'half')
    const names = ['a.test', 'b.test', 'c.test', 'd.test']
    await Promise.all(names.map((name) => rootling.must(['hosts', 'add', name])))
    for (const name of names) expect(await resolve(name)).toEqual(both)
    expect(await besides()).toEqual([])
  })
})

/** Runs a command on a terminal, types an answer after each of some texts, and prints what is shown. */
const terminal = `
import os, pty, select, sys, time
answers = [each.split('=', 1) for each in sys.argv[1].split('|')]
child, terminal = pty.fork()
if child == 0: os.execvp(sys.argv[2], sys.argv[2:])
shown, end = b'', time.time() + 120
while time.time() < end:
    if not select.select([terminal], [], [], 1)[0]: continue
    try: got = os.read(terminal, 65536)
    except OSError: break
    if not got: break
    shown += got
    if answers and answers[0][0].encode() in shown:
        time.sleep(0.2)
        os.write(terminal, answers.pop(0)[1].encode() + b'\\r')
sys.stdout.buffer.write(shown)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
`

/** A machine with the user ada, whom sudoers names with this rule; `null`: not at all. */
async function openPerson(rule: string | null) {
  const machine = await openMachine()
  const { namespace } = machine
  const home = `${dirname(namespace.home)}/ada`
  const line = await commandForEverybody(namespace)
  const script = `
    set -eu
    useradd --create-home --home-dir "$1" --shell /bin/sh ada
    rm -rf /etc/sudoers.d
    mkdir -m 0755 /etc/sudoers.d`
  await namespace.must('sh', ['-c', script, 'sh', home])
  if (rule !== null) {
    await namespace.writeFile('/etc/sudoers.d/ada', `ada ${rule}\n`)
    await namespace.must('chmod', ['0440', '/etc/sudoers.d/ada'])
  }
  const asAda = (args: readonly string[]): Promise<Finished> =>
    namespace.run('runuser', ['-u', 'ada', '--', 'env', `HOME=${home}`, 'USER=ada', ...args])
  return {
    ...machine,
    /** Runs the command on a terminal; `answers` are typed, as `TEXT=ANSWER|…`. */
    adaTypes: async (answers: string, ...args: string[]) => {
      const words = ['runuser', '-u', 'ada', '--', 'env', `HOME=${home}`, 'USER=ada', ...line]
      const all = ['-c', terminal, answers, ...words, ...args]
      return namespace.run('/usr/bin/python3', all)
    },
    ada: (...args: string[]) => asAda([...line, ...args]),
    sudoAda: (...args: string[]) => asAda(['sudo', ...line, ...args]),
  }
}

describe.skipIf(obstacle !== null)(`the hosts file of a person${skipNote}`, () => {
  test('is changed through sudo, and each person takes back their own lines', async () => {
    const machine = await openPerson('ALL=(ALL) NOPASSWD: ALL')
    const { ada, sudoAda, rootling, read, resolve, attributes } = machine
    expect(await ada('hosts', 'add', 'shop.test')).toMatchObject({ exitCode: 0 })
    expect(await resolve('shop.test')).toEqual(both)
    expect(await attributes()).toBe('0 0 644\n')
    expect(await sudoAda('hosts', 'add', 'api.test')).toMatchObject({ exitCode: 0 })
    const listed = await ada('hosts', 'list')
    expect(listed.stdout.match(/ you$/gm)).toHaveLength(4)
    await rootling.must(['hosts', 'add', 'shop.test'])
    expect((await rootling.must(['hosts', 'list'])).stdout).toContain('ada, you')
    expect((await rootling.must(['hosts', 'remove', 'api.test'])).stdout).toBe('')

    expect(await ada('hosts', 'remove', '--all')).toMatchObject({ exitCode: 0 })
    expect(await resolve('api.test')).toEqual([])
    expect(await resolve('shop.test')).toEqual(both)
    await rootling.must(['hosts', 'remove', '--all'])
    expect(await read()).toBe(base)
  })

  test('keeps the lines that another user or project wants, and says so', async () => {
    const { namespace, ada, rootling, read } = await openPerson('ALL=(ALL) NOPASSWD: ALL')
    const lines = both.map((address) => ({ name: 'shop.test', address }))
    const own = { name: 'own.test', address: '127.0.0.1' }
    const ofAda = lines.map((line) => ({ ...line, owners: [{ user: 'ada', project: null }] }))
    expect(await ada('hosts', 'add', 'shop.test')).toMatchObject({ exitCode: 0 })
    for (const dry of [['--dry-run'], []]) {
      const added = await rootling.json(['hosts', 'add', 'shop.test', ...dry])
      expect(added.answer).toMatchObject({ added: [], removed: [], shared: ofAda })
      expect(added.exitCode).toBe(0)
    }
    await rootling.must(['hosts', 'add', 'own.test', '--address', '127.0.0.1'])
    const said = await rootling.must(['hosts', 'remove', '--all', '--dry-run'])
    expect(said.stdout).toBe('- 127.0.0.1 own.test\n')
    expect(said.stderr).toContain('127.0.0.1 shop.test stays for the user ada.\n')
    expect(said.stderr).toContain('These lines of /etc/hosts would go.')
    for (const dry of [['--dry-run'], []]) {
      const all = await rootling.json(['hosts', 'remove', '--all', ...dry])
      expect(all.answer).toMatchObject({ removed: [own], shared: ofAda })
    }
    expect(await read()).toMatch(/^127\.0\.0\.1 shop\.test # ada /m)
    expect((await rootling.json(['hosts', 'remove', '--all'])).answer).toMatchObject({
      removed: [],
      shared: [],
    })

    // A project of root's wants one of the two lines too.
    await namespace.must('sh', [
      '-c',
      `mkdir -p /etc/shop/.git; echo '{"version":1,"hosts":{"shop.test":"::1"}}' > /etc/shop/rootling.json
       cd /etc/shop; exec "$@"`,
      'sh',
      process.execPath,
      command,
      'up',
      '--yes',
    ])
    const kept = (addresses: string[]) =>
      addresses.map((address) => ({ name: 'shop.test', address, owners: expect.anything() }))
    const left = await rootling.json(['hosts', 'add', 'shop.test', '--address', '127.0.0.1'])
    expect(left.answer).toMatchObject({ added: [], removed: [], shared: kept(['127.0.0.1']) })
    const moved = await rootling.run(['hosts', 'add', 'shop.test', '--address', '::1'])
    expect(moved.stdout).toBe('')
    expect(moved.stderr).toMatch(/127\.0\.0\.1 shop\.test stays for the user ada\.$/m)
    expect(moved.stderr).toMatch(
      /::1 shop\.test is there already for the user ada and \/etc\/shop, and is kept for both\.$/m,
    )
    expect((await ada('hosts', 'remove', '--all')).stdout).toBe('- 127.0.0.1 shop.test\n')
    const whole = await rootling.json(['uninstall', '--yes'])
    const last = [{ name: 'shop.test', address: '::1' }]
    expect(whole.answer).toMatchObject({ hosts: { removed: last, shared: [] } })
    expect(await read()).toBe(base)
  })

  test('without rights says what to type, asks nothing, and stays as it is', async () => {
    const { ada, read } = await openPerson('ALL=(ALL) ALL')
    const { exitCode, stderr } = await ada('hosts', 'add', 'shop.test')
    expect(stderr).toContain('Changing /etc/hosts needs root, and sudo would ask for a password')
    expect(stderr).toContain(
      'As root, or in a terminal where sudo can ask: rootling hosts add shop.test\n',
    )
    expect(exitCode).toBe(1)
    const never = await ada('hosts', 'add', 'shop.test', '--no-sudo')
    expect(never.stderr).toContain('Changing /etc/hosts needs root, and sudo was not allowed.')
    expect(never.exitCode).toBe(1)
    // What needs no change asks for no rights.
    expect(await ada('hosts', 'add', 'shop.test', '--dry-run')).toMatchObject({ exitCode: 0 })
    expect(await ada('hosts', 'remove', '--all')).toMatchObject({ exitCode: 0 })
    expect(await read()).toBe(base)
  })

  const python = existsSync('/usr/bin/python3')
  test.skipIf(!python)(
    'on a terminal is told of sudo before it asks, and asked of names of the internet',
    async () => {
      const { namespace, adaTypes, read, resolve } = await openPerson('ALL=(ALL) ALL')
      await namespace.must('chpasswd', [], { input: 'ada:secret\n' })
      const no = await adaTypes('[y/N]=n', 'hosts', 'add', 'bank.com')
      expect(no.stdout).toContain('bank.com is a name of the internet')
      expect(no.exitCode).toBe(5)
      expect(await read()).toBe(base)
      const yes = await adaTypes('[y/N]=y|password for ada=secret', 'hosts', 'add', 'bank.com')
      expect(yes.stdout).toMatch(
        /To write to this machine’s hosts file, sudo asks for the password of ada\.[^]*password for ada/,
      )
      expect(yes.exitCode, yes.stdout).toBe(0)
      expect(await resolve('bank.com')).toEqual(both)
    },
  )
})
