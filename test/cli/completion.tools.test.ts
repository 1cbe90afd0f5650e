import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { builtPrograms } from '../helpers/built.ts'
import { openHome, type Home } from '../helpers/home.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run } from '../helpers/subprocess.ts'
import { hasTool } from '../helpers/tools.ts'

// Real shells on a terminal complete lines and then run them: `rootling` is a function of the shell
// there, which writes the words that it got. So a name counts as completed only where the shell reads
// it back as that name.

const hostile = `O'Neil "$(touch PWNED)" \`touch PWNED\` ; & \\x *`
const word = `x'"$(touch>PWNED)\`id>PWNED\`;>PWNED`
const folder = `it's a "$(touch PWNED)" folder`

/** Keys that are typed, with tabs, and the words that `rootling` gets. */
const typed: readonly (readonly [keys: string, words: readonly string[]])[] = [
  ['proxy rem\tsh\t', ['proxy', 'remove', 'shop.localhost']],
  ['issue --key-type=ed\t', ['issue', '--key-type=ed25519']],
  ['crl --scope cl\t', ['crl', '--scope', 'clients']],
  ['completion f\t', ['completion', 'fish']],
  ['revoke O\t', ['revoke', hostile]],
  ['show x\t', ['show', word]],
  ['untrust O\t', ['untrust', hostile]],
  ["revoke 'O\t", ['revoke', hostile]],
  ['revoke ::\t', ['revoke', '::1']],
  ['--ca te\tlist', ['--ca', 'team', 'list']],
  ['get --cacert ./zz\t', ['get', '--cacert', './zz a.pem']],
  ['help acm\t', ['help', 'acme']],
]

const driver = `
import os, pty, select, sys, time
out, lines, command = sys.argv[1], sys.argv[2].split('\\n'), sys.argv[3:]
child, terminal = pty.fork()
if child == 0:
    os.execvp(command[0], command)
said = b''
def until(path):
    global said
    last = time.time() + 300
    while not os.path.exists(path):
        if time.time() > last:
            sys.exit('the shell waits: ' + repr(said))
        if select.select([terminal], [], [], 0.05)[0]:
            try:
                said += os.read(terminal, 65536)
            except OSError:
                sys.exit('the shell ended: ' + repr(said))
until(out + '.ready')
for i, keys in enumerate(lines):
    os.write(terminal, keys.encode() + b'\\r')
    until(out + '.' + str(i))
os.kill(child, 9)
`

/** A home with names on record, one of which nobody should run, in a folder of such a name. */
async function filledHome(): Promise<{ home: Home; cwd: string; env: Record<string, string> }> {
  const home = openHome()
  const state = join(home.directory, 'state')
  mkdirSync(join(home.directory, folder))
  for (const args of [
    ['issue', '::1', '--out-dir', folder],
    ['issue', '--client', '--cn', hostile, 'alice@example.test'],
  ])
    expect(await home.rootling(args)).toMatchObject({ exitCode: 0 })
  const record = join(state, 'certificates.jsonl')
  const line = readFileSync(record, 'utf8').split('\n')[0] ?? ''
  const team = join(state, 'authorities/team')
  mkdirSync(team, { recursive: true, mode: 0o700 })
  writeFileSync(join(team, 'certificates.jsonl'), `${line}\n`)
  const { identifiers: _, ...rest } = JSON.parse(line) as Record<string, unknown>
  const identifiers = [{ type: 'dns', value: word }]
  const serialNumber = 'ab'.repeat(16)
  const certPath = join(home.directory, 'x\u001B[2J.pem')
  const added = JSON.stringify({ ...rest, serialNumber, certPath, identifiers })
  writeFileSync(record, `{"event":"issued",${added.slice('{"event":"issued",'.length)}\n`, {
    flag: 'a',
  })
  const labels = [hostile, 'a\nb', '\u001B[31mred', 'tab\there', '--force', '\u202Eback']
  const root = { source: '\u001B[2J', fingerprint: 'ab', trusted: '', pem: '' }
  const roots = labels.map((label) => ({ label, ...root }))
  writeFileSync(join(state, 'trusted-roots.json'), JSON.stringify(roots))
  const owner = { kind: 'hand' }
  const route = {
    host: 'shop.localhost',
    path: '/',
    to: 'http://127.0.0.1:3000',
    changeOrigin: false,
    owner,
  }
  writeFileSync(join(state, 'proxy.json'), JSON.stringify({ routes: [route] }))
  const cwd = join(home.directory, folder)
  writeFileSync(join(cwd, 'zz a.pem'), '')
  const bin = join(home.directory, 'bin')
  mkdirSync(bin)
  symlinkSync(builtPrograms().rootling, join(bin, 'rootling'))
  const env = scrubbedEnvironment(home.directory, {
    ROOTLING_HOME: state,
    TERM: 'xterm',
    PATH: `${bin}:${process.env['PATH']}`,
    COMPLETION: join(home.directory, 'completion'),
    OUT: join(home.directory, 'out'),
  })
  return { home, cwd, env }
}

const posix = (source: string): string =>
  `cd "$CWD"; ${source}; n=0; rootling() { printf '%s\\n' "$@" > "$OUT.part"; mv "$OUT.part" "$OUT.$n"; n=$((n+1)); }; : > "$OUT.ready"`

const shells = [
  {
    title: 'bash alone',
    shell: 'bash',
    command: ['bash', '--norc', '--noprofile', '-i'],
    start: posix('source "$COMPLETION"'),
  },
  {
    title: 'bash with bash-completion, set -u and another IFS',
    shell: 'bash',
    needs: '/usr/share/bash-completion/bash_completion',
    command: ['bash', '--norc', '--noprofile', '-i'],
    start: posix('source /usr/share/bash-completion/bash_completion; source "$COMPLETION"; IFS=l'),
  },
  {
    title: 'zsh',
    shell: 'zsh',
    command: ['zsh', '-f', '-i'],
    start: posix(
      'autoload -U compinit; compinit -u -D; source "$COMPLETION"; setopt nolistbeep nolistambiguous',
    ),
  },
  {
    title: 'fish',
    shell: 'fish',
    command: ['fish', '--private'],
    start:
      'cd $CWD; source $COMPLETION; set -g n 0; function rootling; printf "%s\\n" $argv > $OUT.part; mv $OUT.part $OUT.$n; set -g n (math $n + 1); end; touch $OUT.ready',
  },
]

for (const { title, shell, needs, command, start } of shells)
  test(`${title} completes lines on a terminal, and runs nothing that a name says`, async ({
    skip,
  }) => {
    const missing = !(await hasTool(shell)) || (needs !== undefined && !existsSync(needs))
    skip(missing || !(await hasTool('python3')), `needs ${needs ?? shell} and python3`)
    const { home, cwd, env } = await filledHome()
    const script = await home.rootling(['completion', shell])
    writeFileSync(env['COMPLETION'] ?? '', script.stdout)
    const startFile = join(home.directory, 'start')
    writeFileSync(startFile, start)
    const source = `. '${startFile}'`
    const lines = typed.map(([keys]) => `rootling ${keys}`)
    // The first line is read by the shell as all others are; it makes the file that is waited for.
    const program = driver.replace(
      "until(out + '.ready')",
      `os.write(terminal, b"${source}\\r"); until(out + '.ready')`,
    )
    const args = ['-c', program, env['OUT'] ?? '', lines.join('\n'), ...command]
    const { exitCode, stderr } = await run('python3', args, { ...env, CWD: cwd })
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    const got = typed.map((_, i) =>
      readFileSync(`${env['OUT']}.${i}`, 'utf8').trimEnd().split('\n'),
    )
    expect(got).toEqual(typed.map(([, words]) => words))
    const left = [...readdirSync(cwd), ...readdirSync(home.directory)]
    expect(left.filter((name) => name === 'PWNED')).toEqual([])
  })

test('the hidden call offers what can be shown, reads alone, and is silent about what is wrong', async () => {
  const { home, env } = await filledHome()
  const ask = (list: string, ...words: string[]) => home.rootling(['__complete', list, ...words])
  const names = (await ask('certificates')).stdout.split('\n').filter((line) => line !== '')
  expect(names.map((line) => line.split('\t')[0])).toEqual([
    word,
    'alice@example.test',
    hostile,
    '::1',
  ])
  for (const name of names) expect(name).toMatch(/^\P{Cc}+\tuntil \d\P{Cc}+$/u)
  expect((await ask('certificates', 'rootling', '--ca', 'team')).stdout).toMatch(/^::1\t.*\n$/)
  expect((await ask('clients')).stdout).toMatch(/^alice@example\.test\t/)
  const silent = { exitCode: 0, stdout: '', stderr: '' }
  // Of the roots' labels, one alone can be typed.
  expect((await ask('roots')).stdout).toBe(`${hostile}\t\uFFFD[2J\n`)
  expect(await ask('zebra')).toEqual(silent)
  expect(await ask('constructor')).toEqual(silent)
  const state = env['ROOTLING_HOME'] ?? ''
  writeFileSync(join(state, 'proxy.json'), '{')
  expect(await ask('routes')).toEqual(silent)
  const absent = join(home.directory, 'absent')
  for (const list of ['authorities', 'certificates', 'clients', 'roots', 'routes', 'scopes'])
    for (const path of [absent, 'relative'])
      expect(await home.rootling(['__complete', list], { env: { ROOTLING_HOME: path } })).toEqual(
        silent,
      )
  expect(existsSync(absent)).toBe(false)
})

test('PowerShell’s script is ASCII, and has every command within Register-ArgumentCompleter', async () => {
  const { rootling } = openHome()
  const { stdout } = await rootling(['completion', 'powershell'])
  expect(stdout).toMatch(/^[\n -~]+$/)
  expect(stdout).toContain(
    "Register-ArgumentCompleter -Native -CommandName 'rootling' -ScriptBlock {\n    param($wordToComplete, $commandAst, $cursorPosition)",
  )
  // Without its texts, in which a quote is doubled, and its comments, all brackets are closed.
  const code = stdout.replaceAll(/'(?:[^']|'')*'|"(?:[^"`]|`.)*"|^ *#.*$/gm, '')
  const open: string[] = []
  const closing: Record<string, string> = { '}': '{', ')': '(', ']': '[' }
  for (const sign of code.match(/[{}()[\]]/g) ?? [])
    if (closing[sign] === undefined) open.push(sign)
    else expect(open.pop()).toBe(closing[sign])
  expect(open).toEqual([])
  expect(code).not.toContain("'")
  for (const word of ["'proxy add'", "'--key-type'", "'ed25519'", "& $ask 'scopes'"])
    expect(stdout).toContain(word)
})

test('a script is printed without an authority, and where none can be', async () => {
  const { rootling } = openHome()
  const broken = await rootling(['completion', 'bash'], { env: { ROOTLING_HOME: 'relative' } })
  expect(broken).toMatchObject({ exitCode: 0, stderr: '' })
  const json = await rootling(['completion', 'fish', '--json'])
  expect(JSON.parse(json.stdout)).toMatchObject({ ok: true, shell: 'fish' })
  const byShell = await rootling(['completion'], { env: { SHELL: '/usr/bin/zsh' } })
  expect(byShell.stdout).toMatch(/^#compdef rootling\n/)
  const refused = await rootling(['completion', 'tcsh'])
  expect(refused).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('takes one of bash, zsh, fish, powershell, not tcsh.'),
  })
})
