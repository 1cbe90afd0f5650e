import {
  chmodSync,
  chownSync,
  existsSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openHome } from '../helpers/home.ts'

async function openWithAuthority() {
  const home = openHome()
  await home.createAuthority()
  const path = (name: string): string => join(home.directory, name)
  const openssl = async (line: string): Promise<string> => {
    const { exitCode, stdout, stderr } = await home.run('openssl', line.split(' '))
    if (exitCode !== 0) throw new Error(stderr)
    return stdout
  }
  return {
    ...home,
    path,
    read: (name: string) => readFileSync(path(name), 'utf8'),
    /** The PEM of the certificate and of the key in a .p12, as OpenSSL reads them. */
    async inPkcs12(name: string, password: string) {
      const from = `pkcs12 -in ${name} -passin pass:${password} -nodes`
      const pem = await openssl(`${from} -clcerts`)
      return {
        leaf: /-----BEGIN CERTIFICATE[\s\S]*?-----END CERTIFICATE-----/.exec(pem)?.[0],
        key: /-----BEGIN PRIVATE KEY[\s\S]*?-----END PRIVATE KEY-----/.exec(pem)?.[0],
      }
    },
    async renew(...args: string[]) {
      const { exitCode, stderr } = await home.rootling(['renew', 'shop.test', ...args])
      return { exitCode, stderr }
    },
  }
}

const leafIn = (pem: string) => /^[\s\S]*?-----END CERTIFICATE-----/.exec(pem)?.[0]
const stays = 'shop.test.p12 still holds the old certificate, since'

test.each([
  ['a password of our own', []],
  ['a password on the command line', ['--password', 'secret']],
  ['the old encryption', ['--legacy-pkcs12']],
])('a .p12 with %s is renewed with its certificate', async (_name, args) => {
  const { rootling, run, renew, read, path, inPkcs12 } = await openWithAuthority()
  const made = await rootling(['issue', 'shop.test', '--pkcs12', ...args])
  expect(made.stdout).toContain(' ~/shop.test.p12.password\n')
  expect(statSync(path('shop.test.p12.password')).mode & 0o777).toBe(0o600)
  const password = read('shop.test.p12.password').trim()
  expect(made.stdout + args.join(' ')).toContain(password)
  for (const more of [[], ['--rekey']]) {
    expect(await renew(...more)).toEqual({ exitCode: 0, stderr: '' })
    const { leaf, key } = await inPkcs12('shop.test.p12', password)
    expect(leaf).toBe(leafIn(read('shop.test.pem')))
    expect(key).toBe(read('shop.test-key.pem').trim())
  }
  expect(statSync(path('shop.test.p12')).mode & 0o777).toBe(0o600)
  const encryption = args[0] === '--legacy-pkcs12' ? 'pbeWithSHA1And3-KeyTripleDES' : 'AES-256'
  const inspect = [
    'pkcs12',
    '-in',
    'shop.test.p12',
    '-passin',
    `pass:${password}`,
    '-info',
    '-noout',
  ]
  expect((await run('openssl', inspect)).stderr).toContain(encryption)
})

test('a password file of the user’s is used where it is, and told of when it is gone', async () => {
  const { rootling, renew, read, path, inPkcs12 } = await openWithAuthority()
  writeFileSync(path('mine'), 'mine-alone\n')
  await rootling(['issue', 'shop.test', '--pkcs12', '--password-file', 'mine'])
  expect(existsSync(path('shop.test.p12.password'))).toBe(false)
  expect(await renew()).toEqual({ exitCode: 0, stderr: '' })
  const renewed = leafIn(read('shop.test.pem'))
  expect((await inPkcs12('shop.test.p12', 'mine-alone')).leaf).toBe(renewed)
  writeFileSync(path('mine'), 'another\n')
  const wrong = await renew()
  expect(wrong.exitCode).toBe(0)
  expect(wrong.stderr).toContain(`${stays} the password in ${path('mine')} does not open it.`)
  rmSync(path('mine'))
  const gone = await renew()
  expect(gone.stderr).toContain(`${stays} ${path('mine')}, which keeps its password, is gone.`)
  expect((await inPkcs12('shop.test.p12', 'mine-alone')).leaf).toBe(renewed)
})

test('a password that encrypts the key too is kept nowhere, and renew takes it from a file', async () => {
  const { rootling, renew, read, path, inPkcs12 } = await openWithAuthority()
  const both = ['--pkcs12', '--encrypt-key', '--password', 'secret']
  await rootling(['issue', 'shop.test', ...both])
  expect(existsSync(path('shop.test.p12.password'))).toBe(false)
  expect((await renew()).stderr).toContain(`${stays} its password is not kept.`)
  writeFileSync(path('wrong'), 'wrong\n')
  expect((await renew('--password-file', 'wrong')).stderr).toContain(
    `${stays} the password that was given does not open it.`,
  )
  writeFileSync(path('right'), 'secret\n')
  expect(await renew('--password-file', 'right')).toEqual({ exitCode: 0, stderr: '' })
  expect((await inPkcs12('shop.test.p12', 'secret')).leaf).toBe(leafIn(read('shop.test.pem')))
  expect(read('shop.test-key.pem')).toContain('ENCRYPTED')
})

test('a .p12 that is gone with its password is told of once', async () => {
  const { rootling, renew, path } = await openWithAuthority()
  await rootling(['issue', 'shop.test', '--pkcs12', '--full'])
  for (const name of ['shop.test.p12', 'shop.test.p12.password']) rmSync(path(name))
  const { exitCode, stderr } = await renew()
  expect(exitCode).toBe(0)
  expect(stderr).toContain(`${path('shop.test.p12')} is gone, and its password is not kept`)
  expect(stderr).toContain('rootling issue shop.test --pkcs12\n')
  expect(stderr).not.toContain('still holds')
  expect(await renew()).toEqual({ exitCode: 0, stderr: '' })
  expect(existsSync(path('shop.test.p12'))).toBe(false)
  expect(existsSync(path('shop.test-full.pem'))).toBe(true)
})

test('a .p12 that is gone is made again with the password that is kept', async () => {
  const { rootling, renew, path } = await openWithAuthority()
  await rootling(['issue', 'shop.test', '--pkcs12'])
  rmSync(path('shop.test.p12'))
  expect(await renew()).toEqual({ exitCode: 0, stderr: '' })
  expect(existsSync(path('shop.test.p12'))).toBe(true)
})

test('a password file that others may write protects no renewed key', async () => {
  const { rootling, renew, read, path } = await openWithAuthority()
  await rootling(['issue', 'shop.test', '--pkcs12'])
  const before = readFileSync(path('shop.test.p12'))
  // Anybody could plant it where the old one was deleted, and then open the new .p12.
  const password = path('shop.test.p12.password')
  chmodSync(password, 0o622)
  const loose = await renew()
  expect(loose.exitCode).toBe(0)
  expect(loose.stderr).toContain(
    `${stays} others can write to the password file ${password} (mode 0622). To mend it: chmod go-w ${password}`,
  )
  expect(readFileSync(path('shop.test.p12'))).toEqual(before)
  chmodSync(password, 0o600)
  if (process.geteuid?.() === 0) {
    chownSync(password, 12_345, 12_345)
    expect((await renew()).stderr).toContain(
      `${stays} the password file ${password} belongs to another user. To mend it: sudo chown 0 ${password}`,
    )
    expect(readFileSync(path('shop.test.p12'))).toEqual(before)
    chownSync(password, 0, 0)
  }
  expect(await renew()).toEqual({ exitCode: 0, stderr: '' })
  expect(readFileSync(path('shop.test.p12'))).not.toEqual(before)
  expect(read('shop.test.p12.password')).not.toBe('')
})
