import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { command } from '../helpers/built.ts'
import { openHome } from '../helpers/home.ts'
import { hasTool } from '../helpers/tools.ts'

const python = await hasTool('python3')

/** Pastes lines into an interactive bash on a terminal of its own, and prints all that is shown. */
const paste = `
import os, pty, select, sys, time
child, terminal = pty.fork()
if child == 0:
    os.environ['PS1'] = 'READY> '
    os.execvp('bash', ['bash', '--norc', '--noprofile', '-i'])
shown, pasted, end = b'', False, time.time() + 120
while time.time() < end:
    if not select.select([terminal], [], [], 1)[0]: continue
    try: got = os.read(terminal, 65536)
    except OSError: break
    if not got: break
    shown += got
    if not pasted and b'READY>' in shown:
        pasted = True
        os.write(terminal, open(sys.argv[1], 'rb').read())
sys.stdout.buffer.write(shown)
`

async function openPasting() {
  const home = openHome()
  await home.createAuthority()
  const made = await home.rootling(['issue', 'shop.test', '--pkcs12', '--password', 'pässwort 1'])
  expect(made.exitCode).toBe(0)
  const path = (name: string): string => join(home.directory, name)
  // No password is kept for a copy.
  copyFileSync(path('shop.test.p12'), path('copy.p12'))
  writeFileSync(path('paste.py'), paste)
  return {
    path,
    async show(...lines: string[]): Promise<string> {
      const shows = `'${process.execPath}' '${command}' show copy.p12; echo "exit $?"`
      const all = [shows, ...lines, 'echo still hel$((1 + 1))o', 'exit', '']
      writeFileSync(path('lines'), all.join('\r'))
      const { stdout } = await home.run('python3', [path('paste.py'), path('lines')])
      return stdout
    },
  }
}

test.skipIf(!python)(
  'a pasted password opens the file, and the shell gets what follows',
  async () => {
    const { show, path } = await openPasting()
    const shown = await show('wrong', 'pässwort 1')
    expect(shown.match(/Password of copy\.p12: /g)).toHaveLength(2)
    expect(shown).toContain('The password does not open copy.p12. Try again.')
    expect(shown).toMatch(/A certificate for a server[^]*exit 0/)
    expect(shown).toContain('still hel2o')
    expect(shown).not.toContain('pässwort')
    expect(readFileSync(path('shop.test.p12.password'), 'utf8')).toBe('pässwort 1\n')
  },
)

test.skipIf(!python)('a password is asked for three times', async () => {
  const { show } = await openPasting()
  const shown = await show('wrong', 'wrong', 'wrong')
  expect(shown.match(/Password of copy\.p12: /g)).toHaveLength(3)
  expect(shown).toMatch(/Error: The password does not open copy\.p12\.[^]*exit 1/)
  expect(shown).toContain('still hel2o')
})
