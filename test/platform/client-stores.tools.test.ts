import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { HeldIdentity } from '../../platform/client-store.ts'
import { createMacosClientStore } from '../../platform/macos/client.ts'
import { readPkcs12Identity } from '../../platform/pkcs12-identity.ts'
import { createWindowsClientStore } from '../../platform/windows/client.ts'
import { OpensslAuthority } from '../helpers/openssl-authority.ts'
import {
  createMac,
  createWindows,
  loginKeychain,
  type SimulatedOptions,
} from './simulators/machine.ts'

/** Whatever a line of `security -i` or a script could trip over. */
const password = String.raw`correct "horse" \ 'battery' $staple`

let authority: OpensslAuthority
beforeAll(() => {
  authority = new OpensslAuthority()
})
afterAll(() => authority.remove())

interface Made {
  readonly file: string
  readonly identity: HeldIdentity
}

/** A client certificate with its chain in a .p12. */
async function make(name: string, secret = password, ...options: string[]): Promise<Made> {
  const subject = { subjectAltName: 'email:alice@example.test' }
  const { cert, key } = authority.leaf(name, subject)
  const [certFile, keyFile] = [
    authority.write(`${name}.pem`, cert),
    authority.write(`${name}.key`, key),
  ]
  const file = authority.write(`${name}'s “own”.p12`, '')
  const passFile = authority.write(`${name}.txt`, `${secret}\n`)
  const args = ['pkcs12', '-export', '-in', certFile, '-inkey', keyFile, '-out', file]
  authority.run(...args, '-passout', `file:${passFile}`, ...options)
  return { file, identity: await readPkcs12Identity(readFileSync(file), secret, file) }
}

const systems = {
  macOS: (state: Record<string, unknown> = {}, options: Partial<SimulatedOptions> = {}) => {
    const machine = createMac(state, options)
    return { machine, store: createMacosClientStore(machine) }
  },
  Windows: (state: Record<string, unknown> = {}, options: Partial<SimulatedOptions> = {}) => {
    const machine = createWindows(state, options)
    return { machine, store: createWindowsClientStore(machine) }
  },
}

describe.each(Object.entries(systems))('%s', (system, open) => {
  const start = (...args: Parameters<typeof open>) => {
    const opened = open(...args)
    onTestFinished(() => opened.machine.remove())
    return opened
  }

  /** Every certificate that the simulated store holds. */
  function held(machine: ReturnType<typeof open>['machine']): unknown[] {
    const state = machine.readState(system === 'macOS' ? 'macos' : 'windows')
    if (system === 'Windows') return [state['my'], state['ca']].flat()
    return (state['keychains'] as Record<string, unknown[]>)[loginKeychain] ?? []
  }

  test('takes a certificate with its key and its issuer, once, and gives both back', async () => {
    const { machine, store } = start()
    const { file, identity } = await make('alice')
    const pkcs12 = { file, password, shown: 'alice.p12' }
    expect(await store.availability()).toEqual({ available: true })
    expect(await store.has(identity)).toBe(false)
    await store.install(pkcs12, identity)
    expect(await store.has(identity)).toBe(true)
    expect(held(machine)).toHaveLength(2)
    await store.install(pkcs12, identity)
    expect(machine.commands).toHaveLength(1)

    const bob = await make('bob')
    await store.install({ ...pkcs12, file: bob.file }, bob.identity)
    expect(held(machine)).toHaveLength(3)
    await store.remove(identity)
    expect([await store.has(identity), await store.has(bob.identity)]).toEqual([false, true])
    expect(held(machine)).toHaveLength(2)
    await store.remove(bob.identity)
    await store.remove(bob.identity)
    expect(held(machine)).toEqual([])
  })

  test('has the password among no program’s arguments', async () => {
    const { machine, store } = start()
    const { file, identity } = await make('secret')
    await store.install({ file, password, shown: 'alice.p12' }, identity)
    const arguments_ = machine.commands.join('\n')
    const written = [password, 'horse', Buffer.from(password).toString('base64')]
    for (const text of written) expect(arguments_).not.toContain(text)
    expect(arguments_).toMatch(system === 'macOS' ? /security -i$/ : /ReadLine\(\)/)
  })

  test('shows in a dry run what asks for the password, and changes nothing', async () => {
    const { machine, store } = start({}, { dryRun: true })
    const { file, identity } = await make('dry')
    await store.install({ file, password, shown: 'alice.p12' }, identity)
    expect(machine.planned).toEqual([
      system === 'macOS'
        ? `person security import alice.p12 -k ${loginKeychain} -f pkcs12`
        : 'person certutil.exe -user -importpfx alice.p12',
    ])
    expect(await store.has(identity)).toBe(false)
  })

  test('says what it refused: a wrong password, a form that it is too old for', async () => {
    const { store } = start({ legacyOnly: true })
    const { file, identity } = await make('refused')
    const pkcs12 = { file, password, shown: 'alice.p12' }
    const refusal = {
      code: 'store-failed',
      message: expect.stringMatching(/did not take alice\.p12: .*password/),
      hint: expect.stringContaining('--legacy-pkcs12'),
    }
    await expect(store.install(pkcs12, identity)).rejects.toMatchObject(refusal)
    await expect(store.install({ ...pkcs12, password: 'x' }, identity)).rejects.toMatchObject(
      refusal,
    )
    expect(await store.has(identity)).toBe(false)
    const old = await make('old', password, '-certpbe', 'PBE-SHA1-3DES', '-keypbe', 'PBE-SHA1-3DES')
    await store.install({ ...pkcs12, file: old.file }, old.identity)
    expect(await store.has(old.identity)).toBe(true)
  })
})

test('macOS says that a locked keychain is locked', async () => {
  const { machine, store } = systems.macOS({ locked: [loginKeychain] })
  onTestFinished(() => machine.remove())
  const { file, identity } = await make('locked')
  await expect(store.install({ file, password, shown: 'a.p12' }, identity)).rejects.toMatchObject({
    message: expect.stringContaining('User interaction is not allowed.'),
    hint: expect.stringContaining('security unlock-keychain'),
  })
})

test('macOS is not asked with a password that it would decode wrongly', async () => {
  const { machine, store } = systems.macOS()
  onTestFinished(() => machine.remove())
  const { file, identity } = await make('umlaut', 'schlüssel')
  const pkcs12 = { file, password: 'schlüssel', shown: 'a.p12' }
  await expect(store.install(pkcs12, identity)).rejects.toMatchObject({ code: 'usage' })
  expect(machine.commands).toEqual([])
})

test('Windows takes such a password, and a name with quotes of every kind', async () => {
  const { machine, store } = systems.Windows()
  onTestFinished(() => machine.remove())
  const { file, identity } = await make('windows', 'schlüssel')
  const name = "Alice’s 'own' ‚one‘"
  await store.install({ file, password: 'schlüssel', shown: 'a.p12' }, identity, name)
  expect(machine.readState('windows')['my']).toMatchObject([{ friendlyName: name }])
})

describe('a PKCS #12 file', () => {
  test('tells whose certificate it holds', async () => {
    const { file, identity } = await make('told')
    const printed = authority.run(
      'x509',
      '-in',
      file.replace("'s “own”.p12", '.pem'),
      '-noout',
      '-fingerprint',
      '-sha256',
    )
    expect(printed.replaceAll(':', '').toLowerCase()).toContain(identity.fingerprint)
    expect(identity.issuers).toHaveLength(1)
  })

  test.each([
    ['is opened by no other password', 'wrong', /^The password does not open a\.p12\.$/],
    ['has to be one', null, /^a\.p12 is not a PKCS #12 file that OpenSSL can read\.$/],
  ])('%s', async (_, secret, message) => {
    const { file } = await make('opened')
    const contents = secret === null ? Buffer.from('nothing of the kind') : readFileSync(file)
    await expect(readPkcs12Identity(contents, secret ?? password, 'a.p12')).rejects.toMatchObject({
      code: 'bad-key',
      message: expect.stringMatching(message),
    })
  })

  test('has to hold a key', async () => {
    const file = path.join(authority.directory, 'keyless.p12')
    const { cert } = authority.leaf('keyless')
    const certFile = authority.write('keyless.pem', cert)
    authority.run(
      'pkcs12',
      '-export',
      '-nokeys',
      '-in',
      certFile,
      '-out',
      file,
      '-passout',
      'pass:x',
    )
    await expect(readPkcs12Identity(readFileSync(file), 'x', 'a.p12')).rejects.toMatchObject({
      message: 'a.p12 holds no certificate with its key.',
    })
  })
})
