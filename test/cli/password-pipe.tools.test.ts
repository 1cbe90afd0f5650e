import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { command } from '../helpers/built.ts'
import { openHome } from '../helpers/home.ts'

async function openWithAuthority() {
  const home = openHome()
  await home.createAuthority()
  const path = (name: string) => join(home.directory, name)
  const shell = (line: string) =>
    home.run('env', [
      `ROOTLING_HOME=${path('state')}`,
      'bash',
      '-c',
      line.replaceAll('rootling', `'${process.execPath}' '${command}'`),
    ])
  const opens = async (password: string) => {
    const args = ['pkcs12', '-in', 'shop.test.p12', '-passin', `pass:${password}`, '-noout']
    return (await home.run('openssl', args)).exitCode === 0
  }
  return { ...home, path, shell, opens }
}

test.each([
  ['process substitution', 'rootling issue shop.test --pkcs12 --password-file <(echo secret)'],
  ['a slow one', 'rootling issue shop.test --pkcs12 --password-file <(sleep 1; echo secret)'],
  ['standard input', 'echo secret | rootling issue shop.test --pkcs12 --password-file -'],
  ['/dev/stdin', 'echo secret | rootling issue shop.test --pkcs12 --password-file /dev/stdin'],
  ['a here-string', 'rootling issue shop.test --pkcs12 --password-file - <<< secret'],
  [
    'a FIFO',
    'mkfifo f; (sleep 0.5; echo secret > f) & rootling issue shop.test --pkcs12 --password-file f',
  ],
])('a password comes from %s, and is kept nowhere', async (_name, line) => {
  const { shell, opens, path } = await openWithAuthority()
  expect(await shell(line)).toMatchObject({
    exitCode: 0,
    stderr: expect.not.stringContaining('Error'),
  })
  expect(await opens('secret')).toBe(true)
  expect(existsSync(path('shop.test.p12.password'))).toBe(false)
  expect(readFileSync(path('state/certificates.jsonl'), 'utf8')).not.toContain('passwordFile')
})

test('a program pipes a password in, without a newline', async () => {
  const { rootling, opens } = await openWithAuthority()
  const args = ['issue', 'shop.test', '--pkcs12', '--password-file', '-']
  expect(await rootling(args, { input: 'secret' })).toMatchObject({ exitCode: 0 })
  expect(await opens('secret')).toBe(true)
})

test('one pipe serves every file of a renewal, and show', async () => {
  const { shell } = await openWithAuthority()
  for (const name of ['a.test', 'b.test'])
    await shell(`rootling issue ${name} --pkcs12 --password-file <(echo secret)`)
  const renewed = await shell('rootling renew --all --password-file <(echo secret)')
  expect(renewed).toMatchObject({ exitCode: 0, stderr: '' })
  const shown = await shell('rootling show a.test.p12 --password-file <(echo secret)')
  expect([shown.exitCode, shown.stdout]).toEqual([0, expect.stringContaining('a.test')])
})

test.each([
  ['a directory', 'rootling issue shop.test --pkcs12 --password-file .', /is not a file/],
  ['a device', 'rootling issue shop.test --pkcs12 --password-file /dev/zero', /is not a file/],
  [
    'an endless pipe',
    'rootling issue shop.test --pkcs12 --password-file <(tr "\\0" a < /dev/zero)',
    /has no line of at most/,
  ],
  [
    'an endless device as input',
    'rootling issue shop.test --pkcs12 --password-file - < /dev/zero',
    /has no line of at most/,
  ],
  ['no input', 'rootling issue shop.test --pkcs12 --password-file - < /dev/null', /is empty/],
  [
    'a FIFO without a writer',
    'mkfifo f; rootling issue shop.test --pkcs12 --password-file f',
    /No program has written/,
  ],
])('%s is refused, and nothing is written', async (_name, line, sentence) => {
  const { shell, path } = await openWithAuthority()
  const { exitCode, stderr } = await shell(line)
  expect(stderr).toMatch(sentence)
  expect([1, 2]).toContain(exitCode)
  expect(existsSync(path('shop.test.pem'))).toBe(false)
})
