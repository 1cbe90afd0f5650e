import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { command } from '../helpers/built.ts'
import { openHome } from '../helpers/home.ts'
import { hasTool } from '../helpers/tools.ts'

const python = await hasTool('python3')

/**
 * Runs a command on a terminal of its own, as wide as a file of JSON says. Sends keys each time when
 * a text is shown, given there as pairs. Prints all that was shown, and then how the command ended.
 */
const drive = `
import fcntl, json, os, pty, select, signal, struct, sys, termios, time
plan = json.load(open(sys.argv[1]))
steps = plan['steps']
child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 40, plan['columns'], 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])
shown, seen, end = b'', 0, time.time() + 60
while time.time() < end:
    if steps and steps[0][0].encode() in shown[seen:]:
        # The question is drawn before the keys of the terminal are read.
        time.sleep(0.3)
        seen = len(shown)
        os.write(terminal, steps.pop(0)[1].encode())
    if not select.select([terminal], [], [], 0.2)[0]: continue
    try: got = os.read(terminal, 65536)
    except OSError: break
    if not got: break
    shown += got
else:
    os.kill(child, signal.SIGKILL)
sys.stdout.buffer.write(shown)
sys.stdout.flush()
print('\\nexit', os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
`

const questions = [
  'Host names and addresses of the certificate',
  'Where the certificate goes',
  'Where its key goes',
  'to the hosts file',
  'Write .env.rootling',
]
const [enter, interrupt] = ['\r', '\u0003']

function openProject(name: string) {
  const home = openHome()
  const directory = join(home.directory, name)
  mkdirSync(directory)
  writeFileSync(join(directory, 'next.config.js'), "allowedDevOrigins: ['shop.test']")
  writeFileSync(
    join(directory, 'compose.yaml'),
    'services:\n  web:\n    ports:\n      - "8443:443"\n',
  )
  writeFileSync(join(home.directory, 'drive.py'), drive)
  // On a terminal that is called dumb, Node knows no backspace.
  const inside = ['env', `--chdir=${directory}`, 'TERM=xterm', process.execPath, command, 'init']
  return {
    directory,
    yes: () => home.run('env', [...inside.slice(1), '--yes']),
    async type(steps: readonly (readonly [string, string])[], columns = 200): Promise<string> {
      const [script, keys] = [join(home.directory, 'drive.py'), join(home.directory, 'keys.json')]
      writeFileSync(keys, JSON.stringify({ steps, columns }))
      return (await home.run('python3', [script, keys, ...inside])).stdout
    },
  }
}

/** Splits what a terminal was sent where its cursor moves, and leaves out the colours. */
const linesDrawn = (sent: string): string[] =>
  // oxlint-disable-next-line no-control-regex
  sent.replace(/\u001B\[[0-9;]*m/g, '').split(/(?:\u001B\[[0-9;?]*[A-Za-ln-z]|[\r\n])+/)

describe.skipIf(!python)('the dialogue of init, on a terminal', () => {
  test('writes by default what --yes writes', async () => {
    const [asked, guessed] = [openProject('shop'), openProject('shop')]
    const shown = await asked.type(questions.map((question) => [question, enter] as const))
    expect(shown).toContain('exit 0')
    expect(await guessed.yes()).toMatchObject({ exitCode: 0 })
    const [typed, taken] = [asked, guessed].map(({ directory }) =>
      readFileSync(join(directory, 'rootling.json'), 'utf8'),
    )
    expect(typed).toBe(taken)
    expect(typed).toContain('"shop.test": ["127.0.0.1", "::1"]')
    expect(typed).toContain('"web.shop.localhost": "https://127.0.0.1:8443"')
  })

  test('takes what is typed', async () => {
    const { directory, type } = openProject('shop')
    const answers = [` api.test${enter}`, enter, enter, 'n', `y`]
    const shown = await type(questions.map((question, i) => [question, answers[i] ?? ''] as const))
    expect(shown).toContain('exit 0')
    const text = readFileSync(join(directory, 'rootling.json'), 'utf8')
    expect(text).toContain('"api.test"')
    expect(text).not.toContain('"hosts"')
    expect(text).toContain('"env": { "file": ".env.rootling" }')
  })

  test.each([200, 40])(
    'asks again for what is not usable, on a terminal of %i columns, and takes a name once',
    async (columns) => {
      const { directory, type } = openProject('shop')
      const clear = '\u007f'.repeat(100)
      const shown = await type(
        [
          ['Host names', `${clear}${enter}`],
          ['0 items', `shop.test SHOP.test shop.test:8443${enter}`],
          ['has a port', `${'\u007f'.repeat(5)}${enter}`],
          ['Where the certificate', `${clear}../a.pem${enter}`],
          ['two dots', `${clear}package.json${enter}`],
          ['.crt', `${clear}a.pem${enter}`],
          ['Where its key', `${clear}A.pem${enter}`],
          ['path of', `${clear}a-key.pem${enter}`],
          ['to the hosts', enter],
          ['Write .env.rootling', enter],
        ],
        columns,
      )
      expect(shown).toContain('exit 0')
      const text = readFileSync(join(directory, 'rootling.json'), 'utf8')
      expect(text).toContain('"names": ["shop.test"]')
      expect(text).toContain('"cert": "a.pem"')
      expect(text).toContain('"key": "a-key.pem"')
      expect(text.match(/"shop\.test": \["127\.0\.0\.1", "::1"\]/g)).toHaveLength(1)
      const dialogue = shown.slice(shown.indexOf('Host names'), shown.indexOf('Wrote'))
      expect(dialogue).not.toContain('certificates[0]')
      const drawn = linesDrawn(dialogue)
      expect(drawn.length).toBeGreaterThan(100)
      expect(drawn.filter((line) => line.length > columns)).toEqual([])
    },
  )

  test.each(questions.map((question, i) => [question, i] as const))(
    'writes nothing after Ctrl-C at “%s”',
    async (_question, i) => {
      const { directory, type } = openProject('shop')
      const before = readdirSync(directory)
      const steps = questions
        .slice(0, i + 1)
        .map((question, at) => [question, at === i ? interrupt : enter] as const)
      const shown = await type(steps)
      expect(shown).toContain('nothing was written')
      expect(shown).toContain('exit 5')
      expect(readdirSync(directory)).toEqual(before)
      expect(existsSync(join(directory, '..', 'state'))).toBe(false)
    },
  )
})
