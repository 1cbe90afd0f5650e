import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openHome } from '../helpers/home.ts'
import { hasTool } from '../helpers/tools.ts'

/** Directories whose names mean something to a shell, and which must come through as they are. */
const nasty = [
  'a b',
  `it's`,
  '$HOME `id` $(id)',
  'back\\slash',
  '"double"',
  'a;b&c|d',
  '~!*?[x]{a,b}#',
  '-n',
  'ü‘’%PATH%',
]

/** Each shell, how it makes the changes that are printed, and how it prints a variable. */
const shells = [
  { program: 'bash', form: 'bash', script: (command: string) => `eval "$(${command})"; ` },
  { program: 'dash', form: 'bash', script: (command: string) => `eval "$(${command})"; ` },
  { program: 'zsh', form: 'zsh', script: (command: string) => `eval "$(${command})"; ` },
  { program: 'fish', form: 'fish', script: (command: string) => `${command} | source; ` },
] as const

for (const { program, form, script } of shells) {
  const present = await hasTool(program)
  describe.skipIf(!present)(`${program}${present ? '' : ' (not on this machine)'}`, () => {
    test('gets every value as it is, and --unset takes them back', async () => {
      const { directory, createAuthority, rootling, run } = openHome()
      await createAuthority()
      for (const name of nasty) {
        const state = join(directory, name)
        cpSync(join(directory, 'state'), state, { recursive: true })
        const env = { ROOTLING_HOME: state, SSL_CERT_FILE: '/etc/ssl/certs/ca-certificates.crt' }
        const args = ['env', '--replace', '--shell', form]
        const { variables } = JSON.parse((await rootling([...args, '--json'], { env })).stdout) as {
          variables: Record<string, string>
        }
        expect(variables['SSL_CERT_FILE']).toMatch(/bundle-[0-9a-f]{16}\.pem$/)
        expect(variables['SSL_CERT_FILE']).toContain(state)
        // The text is read from a file, since the test is about what the shell makes of it.
        const set = join(directory, 'set')
        writeFileSync(set, (await rootling(args, { env })).stdout)
        const print = join(directory, 'print.mjs')
        writeFileSync(print, 'console.log(JSON.stringify(process.env))')
        const shown = `${process.execPath} ${print}`
        const got = await run('env', [
          'SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt',
          program,
          '-c',
          `${script(`cat ${set}`)}${shown}`,
        ])
        expect(got.stderr).toBe('')
        const seen = JSON.parse(got.stdout) as Record<string, string>
        expect(seen).toMatchObject(variables)

        const unset = join(directory, 'unset')
        const back = await rootling(['env', '--unset', '--shell', form], {
          env: { ...seen, ...env, SSL_CERT_FILE: seen['SSL_CERT_FILE'] ?? '' },
        })
        writeFileSync(unset, back.stdout)
        const after = await run('env', [
          'SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt',
          program,
          '-c',
          `${script(`cat ${set}`)}${script(`cat ${unset}`)}${shown}`,
        ])
        expect(after.stderr).toBe('')
        const left = JSON.parse(after.stdout) as Record<string, string>
        for (const name of Object.keys(variables))
          expect(left[name]).toBe(name === 'SSL_CERT_FILE' ? env.SSL_CERT_FILE : undefined)
      }
    })
  })
}

test('a dotenv file is read alike by Node and, where it has no quotes, by docker run', async () => {
  const { directory, createAuthority, rootling, run } = openHome()
  await createAuthority()
  for (const name of nasty.filter((each) => !each.includes("'"))) {
    const state = join(directory, name)
    cpSync(join(directory, 'state'), state, { recursive: true })
    const env = { ROOTLING_HOME: state }
    const args = ['env', '--replace', '--shell']
    const { stdout } = await rootling([...args, 'dotenv'], { env })
    const variables = JSON.parse((await rootling([...args, 'json'], { env })).stdout) as object
    expect(stdout).not.toContain('ROOTLING_ENV')
    writeFileSync(join(directory, '.env'), stdout)
    const script = 'console.log(JSON.stringify(process.env))'
    const got = await run(process.execPath, ['--env-file=.env', '-e', script])
    expect(JSON.parse(got.stdout)).toMatchObject(variables)
    if (stdout.includes("'")) continue
    // docker run --env-file: each line is a name, =, and the value to the end of the line.
    const rows = stdout
      .trimEnd()
      .split('\n')
      .map((line) => /^([^=]+)=(.*)$/.exec(line)?.slice(1) ?? [])
    expect(Object.fromEntries(rows) as object).toEqual(variables)
  }
})

test('a path with a newline is refused, and JSON has it', async () => {
  const { directory, createAuthority, rootling } = openHome()
  await createAuthority()
  const state = join(directory, 'a\nb')
  mkdirSync(state)
  cpSync(join(directory, 'state'), state, { recursive: true })
  const env = { ROOTLING_HOME: state }
  const refused = await rootling(['env', '--shell', 'bash'], { env })
  expect([refused.exitCode, refused.stdout]).toEqual([2, ''])
  expect(refused.stderr).toMatch(/^Error: NODE_EXTRA_CA_CERTS would be .*control characters/)
  const { stdout } = await rootling(['env', '--shell', 'json'], { env })
  expect(JSON.parse(stdout)['NODE_EXTRA_CA_CERTS']).toBe(join(state, 'bundles/roots.pem'))
})

test('a line that cannot mean anything is refused with exit code 2', async () => {
  const { rootling } = openHome()
  const lines = [
    ['--shell', 'csh'],
    ['--unset', '--replace'],
    ['--unset', '--shell', 'dotenv'],
    ['bash'],
  ]
  for (const line of lines) {
    const { exitCode, stdout, stderr } = await rootling(['env', ...line])
    expect([exitCode, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(/^Error: .*\n {2}→ /)
  }
})

test('--shell takes the names of shells that read the same, and names run for others', async () => {
  const { createAuthority, rootling } = openHome()
  await createAuthority()
  const printed = async (shell: string) => (await rootling(['env', '--shell', shell])).stdout
  for (const [name, form] of [
    ['sh', 'bash'],
    ['dash', 'bash'],
    ['ksh', 'bash'],
    ['pwsh', 'powershell'],
  ] as const)
    expect(await printed(name)).toBe(await printed(form))
  for (const name of ['nu', 'cmd', 'tcsh']) {
    const { exitCode, stdout, stderr } = await rootling(['env', '--shell', name])
    expect([exitCode, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(
      new RegExp(
        `^Error: --shell ${name} is not one of bash, zsh, fish, powershell, .*\\.\n.* In every shell: .*rootling run -- COMMAND\n$`,
      ),
    )
  }
})

test('without an authority there is a hint and no output', async () => {
  const { rootling } = openHome()
  const { exitCode, stdout, stderr } = await rootling(['env'])
  expect([exitCode, stdout]).toEqual([1, ''])
  expect(stderr).toMatch(/^Error: There is no certificate authority yet\.\n.* rootling install\n$/)
})
