import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { readSecretText } from '../../src/files/secret-file.ts'

const isRoot = process.getuid?.() === 0

function directory(): string {
  const made = mkdtempSync(join(tmpdir(), 'rootling-secret-'))
  onTestFinished(() => rmSync(made, { recursive: true, force: true }))
  return made
}

/** A directory as Kubernetes mounts a secret: name → ..data/name, ..data → a directory. */
function mounted(mode: number): string {
  const made = directory()
  mkdirSync(join(made, '..2026_01_01'))
  writeFileSync(join(made, '..2026_01_01/passphrase'), 'correct horse battery\n')
  chmodSync(join(made, '..2026_01_01/passphrase'), mode)
  symlinkSync('..2026_01_01', join(made, '..data'))
  symlinkSync('..data/passphrase', join(made, 'passphrase'))
  return join(made, 'passphrase')
}

/** Says the code and the sentence of a refusal. */
function refusal(path: string): unknown {
  try {
    readSecretText(path)
  } catch (error) {
    return error
  }
  throw new Error('it was read')
}

test('a secret behind the links of Kubernetes is read where nobody else can', () => {
  expect(readSecretText(mounted(0o400))).toBe('correct horse battery\n')
})

test('a link changes nothing about what may be read, and the hint says what Kubernetes needs', () => {
  const path = mounted(0o444)
  expect(refusal(path)).toMatchObject({
    code: 'loose-key',
    message: `Others can read the secret ${path} (mode 0444), and it is not on a read-only tmpfs of root's.`,
    hint: expect.stringContaining('defaultMode: 0400'),
  })
  expect(refusal(mounted(0o604))).toMatchObject({ code: 'loose-key' })
  expect(refusal(mounted(0o420))).toMatchObject({ code: 'loose-key' })
})

test('links that lead nowhere, in a circle, to a directory or to a large file are refused or absent', () => {
  const made = directory()
  symlinkSync('absent', join(made, 'nowhere'))
  expect(readSecretText(join(made, 'nowhere'))).toBeNull()
  expect(readSecretText(join(made, 'absent'))).toBeNull()
  symlinkSync('circle', join(made, 'circle'))
  expect(refusal(join(made, 'circle'))).toMatchObject({
    code: 'file-unreadable',
    message: expect.stringContaining('more than 8 links'),
  })
  expect(refusal(made)).toMatchObject({ code: 'file-unreadable' })
  writeFileSync(join(made, 'large'), 'x'.repeat(70_000), { mode: 0o600 })
  expect(refusal(join(made, 'large'))).toMatchObject({ code: 'file-unreadable' })
})

test.skipIf(!isRoot)('a link of another user is refused, and so is a file of one', () => {
  const path = mounted(0o400)
  lchownSync(path, 65534, 65534)
  expect(refusal(path)).toMatchObject({
    code: 'file-unreadable',
    message: `${path} is a symbolic link of another user, who may lead it elsewhere.`,
  })
  const foreign = join(directory(), 'passphrase')
  writeFileSync(foreign, 'correct horse battery\n', { mode: 0o600 })
  chownSync(foreign, 65534, 65534)
  expect(refusal(foreign)).toMatchObject({
    code: 'loose-key',
    message: expect.stringContaining('uid 65534'),
  })
})

test.skipIf(!isRoot)("a file of root's may be read by its own group alone", () => {
  const path = join(directory(), 'passphrase')
  writeFileSync(path, 'correct horse battery\n')
  chmodSync(path, 0o640)
  expect(readSecretText(path)).toBe('correct horse battery\n')
  chownSync(path, 0, 65534)
  expect(refusal(path)).toMatchObject({ code: 'loose-key' })
})
