import { describe, expect, test } from 'vitest'
import { command, ensureBuilt } from '../helpers/built.ts'
import { namespaceUnavailable } from '../helpers/namespace.ts'
import { testNamespace } from '../helpers/test-namespace.ts'
import { notInstalled } from '../outside/e2e/client.ts'

const missing = await Promise.all(['keytool', 'python3'].map(notInstalled))
const obstacle = namespaceUnavailable() ?? missing.find((reason) => reason !== null) ?? null
const skipNote = obstacle === null ? '' : ` [skipped: ${obstacle}]`

const secret = 'hush, 1'

/**
 * Runs a program on a terminal of its own and types an answer to each question for a password. Prints
 * what was shown, and LEAKED where the arguments of any process hold the password.
 */
const terminal = `
import json, os, pty, select, sys, time
secret, answers = json.load(sys.stdin)
secret = secret.encode()
child, keyboard = pty.fork()
if child == 0: os.execvp(sys.argv[1], sys.argv[1:])
shown, asked, leaked, end = b'', 0, False, time.time() + 120
while time.time() < end:
    for number in filter(str.isdigit, os.listdir('/proc')):
        if number == str(os.getpid()): continue
        try: leaked = leaked or secret in open('/proc/' + number + '/cmdline', 'rb').read()
        except OSError: pass
    if not select.select([keyboard], [], [], 0.02)[0]: continue
    try: got = os.read(keyboard, 65536)
    except OSError: break
    if not got: break
    shown += got
    while shown.count(b'leaves it out): ') > asked and answers:
        asked += 1
        time.sleep(0.5)
        os.write(keyboard, answers.pop(0).encode())
sys.stdout.buffer.write(shown + (b'LEAKED' if leaked else b''))
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
`

async function openKeystores() {
  ensureBuilt()
  const namespace = await testNamespace()
  const file = (type: string) => `${namespace.home}/.jdks/${type}/lib/security/cacerts`
  for (const type of ['JKS', 'PKCS12']) {
    await namespace.must('mkdir', ['-p', file(type).replace('/cacerts', '')])
    await namespace.must('keytool', [
      ...['-genkeypair', '-storetype', type, '-keystore', file(type), '-storepass', secret],
      ...['-keypass', secret, '-alias', 'own', '-keyalg', 'EC', '-dname', 'CN=own'],
    ])
  }
  const type = async (answers: readonly string[], ...words: string[]) => {
    const line = [process.execPath, command, ...words]
    const input = JSON.stringify([secret, answers])
    const { exitCode, stdout } = await namespace.run('python3', ['-c', terminal, ...line], {
      input,
    })
    return { exitCode, shown: stdout, asked: stdout.match(/Password of \S+ \(Enter/g)?.length ?? 0 }
  }
  const rootsIn = async (kind: string) => {
    const list = ['-list', '-keystore', file(kind), '-storepass', secret]
    return (await namespace.must('keytool', list)).stdout.match(/^rootling-/gm)?.length ?? 0
  }
  return { namespace, file, type, rootsIn }
}

describe.skipIf(obstacle !== null)(`the password of a keystore${skipNote}`, () => {
  test('is asked for on a terminal, once for several, and never shown', async () => {
    const { type, rootsIn } = await openKeystores()
    const line = ['install', '--stores', 'java', '--permit', 'dev.example.com']
    const installed = await type(['wrong\r', `${secret}\r`], ...line)
    expect(installed.exitCode, installed.shown).toBe(0)
    expect(installed.asked).toBe(2)
    expect(installed.shown).toContain('Try again.')
    expect(installed.shown).not.toMatch(/hush|LEAKED/)
    expect([await rootsIn('JKS'), await rootsIn('PKCS12')]).toEqual([2, 2])

    const status = await type([`${secret}\r`], 'status', '--stores', 'java')
    expect([status.exitCode, status.asked], status.shown).toEqual([0, 1])
    const removed = await type([`${secret}\r`], 'uninstall', '--stores', 'java')
    expect(removed.exitCode, removed.shown).toBe(0)
    expect(removed.shown).not.toMatch(/hush|LEAKED/)
    expect([await rootsIn('JKS'), await rootsIn('PKCS12')]).toEqual([0, 0])
  })

  test('is asked for three times; Enter leaves the keystore out, and Ctrl-C ends the command', async () => {
    const { namespace, type, file } = await openKeystores()
    const line = ['install', '--stores', 'java']
    const failed = await type(['a\r', 'b\r', 'c\r', '\r'], ...line)
    expect([failed.exitCode, failed.asked], failed.shown).toEqual([3, 4])
    expect(failed.shown.replace(/\s+/g, ' ')).toContain('--java-storepass-file FILE')
    const ended = await type(['\u0003'], ...line)
    expect([ended.exitCode, ended.asked], ended.shown).toEqual([5, 1])
    const script = await namespace.run(process.execPath, [command, ...line])
    const said = (script.stdout + script.stderr).replace(/\s+/g, ' ')
    const shown = `~${file('JKS').slice(namespace.home.length)}`
    expect(said).toContain(`The password of ${shown} is not changeit`)
    expect(said).toContain('--java-storepass-file FILE')
    expect([script.exitCode, said.includes('leaves it out')]).toEqual([3, false])
  })
})
