import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { quotedPath, shellWord } from '../src/shell-word.ts'
import { openHome } from './helpers/home.ts'
import { runTool } from './helpers/tools.ts'

const words = [
  'a b',
  "it's",
  '$HOME',
  'a\nb',
  "\u202e'\\",
  '\u001b[31mred',
  'é ü',
  '',
  '~',
  'a;b',
  '🙂\t',
]

test.each(words)('a shell reads the quoted %j as that word', async (word) => {
  const { stdout } = await runTool('bash', ['-c', `printf %s ${shellWord(word, 'linux')}`])
  expect(stdout).toBe(word)
  expect(shellWord(word, 'linux')).not.toMatch(/[\p{Cc}\p{Cf}]/u)
})

test('a path is quoted in a sentence only where it would read as something else', () => {
  const plain = ['/tmp/a.pem', '/home/josé/ключ.pem', 'C:\\certs\\a.pem', './a+1.pem', '[::1]']
  for (const path of plain) expect(quotedPath(path, 'linux')).toBe(path)
  for (const path of ['/my certs/a.pem', 'a.pem" is fine', 'a\n', '']) {
    expect(quotedPath(path, 'linux')).toBe(shellWord(path, 'linux'))
    expect(quotedPath(path, 'linux')).not.toBe(path)
  }
})

test('a file with spaces or a newline in its name is one word in every sentence about it', async () => {
  const { rootling, createAuthority, directory } = openHome()
  await createAuthority()
  const inDirectory = join(directory, 'my certs')
  mkdirSync(inDirectory)
  const issued = await rootling(['issue', 'a.test', '--out-dir', 'my certs'])
  expect(issued.stdout).toContain("'my certs/a.test.pem'\n")
  writeFileSync(join(inDirectory, 'a.test.pem'), 'changed')
  const renewed = await rootling(['renew', 'a.test'])
  const file = `'${join(inDirectory, 'a.test.pem')}'`
  expect(renewed.stdout.replace(/\s+/g, ' ')).toContain(
    `${file} was changed by something else since.`,
  )
  const foreign = await rootling(['issue', 'a.test', '--out-dir', 'my certs'])
  expect(foreign.stderr).toContain(`Error: ${file} is not a certificate, so it was left as it is.`)
  const absent = await rootling(['show', './no\nError: such file'])
  expect(absent.stderr).toContain(`There is no file $'${directory}/no\\nError: such file', and`)
  const name = await rootling(['renew', 'x. All is well'])
  expect(name.stderr).toContain("No certificate on record is for 'x. All is well'.")
})
