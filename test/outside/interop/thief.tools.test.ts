import { createPrivateKey } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeScope } from '../../../src/authority/ceremony.ts'
import { ensureAuthority } from '../../../src/authority/create.ts'
import { scopePath } from '../../../src/storage/files/scopes.ts'
import {
  randomSerialNumber,
  signCertificate,
  signWith,
  type Signer,
} from '../../../src/x509/certificate.ts'
import * as extension from '../../../src/x509/extensions.ts'
import { parseIdentifier } from '../../../src/x509/identifier.ts'
import { generateKeys, keyIdentifier } from '../../../src/x509/keys.ts'
import { encodePem } from '../../../src/x509/pem.ts'
import { authorityName, leafValidity, signServerLeaf } from '../../../src/x509/profiles.ts'
import { hasTool, runTool } from '../../helpers/tools.ts'
import { temporaryDirectory, temporaryState } from '../../helpers/temporary.ts'
import { findVerifiers } from './verifiers.ts'

const { found } = await findVerifiers()
const openssl = await hasTool('openssl')
const skipped = openssl ? '' : ' (skipped: openssl is not installed)'
const later = (now: Date): Date => new Date(now.getTime() + 1e10)

/** What a thief has after reading the state directory: the key as it stands on the disk. */
async function stolenSigner() {
  const now = new Date()
  const state = await temporaryState()
  const { scope } = await ensureAuthority(state, now)
  const path = join(scopePath(state, 'local'), 'intermediate-key.pem')
  const key = createPrivateKey(await readFile(path, 'utf8'))
  const signing = signWith(key)
  if (signing === null) throw new Error('the intermediate has an unknown key')
  const { issuerName: name, issuerKeyIdentifier: identifier } = scope
  return { now, scope, signer: { name, keyIdentifier: identifier, ...signing } }
}

/** A CA below the intermediate, without constraints, and what it signs. */
async function subordinate(now: Date, signer: Signer, host: string) {
  const [ca, pair] = [await generateKeys('p256'), await generateKeys('p256')]
  const { keyUsageBits: bit } = extension
  const name = authorityName('issuing', 'servers', 'deadbeef')
  const der = await signCertificate(
    {
      serialNumber: randomSerialNumber(),
      subject: name,
      ...leafValidity(now, 90, later(now)),
      spki: ca.spki,
      extensions: [
        extension.basicConstraints(true, null),
        extension.keyUsage([bit.keyCertSign, bit.cRLSign]),
        extension.subjectKeyIdentifier(keyIdentifier(ca.spki)),
        extension.authorityKeyIdentifier(signer.keyIdentifier),
      ],
    },
    signer,
  )
  const key = createPrivateKey({ key: ca.pkcs8, format: 'der', type: 'pkcs8' })
  const signing = signWith(key)
  if (signing === null) throw new Error('a P-256 key signs')
  const own: Signer = { name, keyIdentifier: keyIdentifier(ca.spki), ...signing }
  const leaf = await signServerLeaf(
    {
      serialNumber: randomSerialNumber(),
      spki: pair.spki,
      rsa: false,
      identifiers: [parseIdentifier(host)],
      ...leafValidity(now, 90, later(now)),
    },
    own,
  )
  return { ca: encodePem('CERTIFICATE', der), leaf: encodePem('CERTIFICATE', leaf) }
}

// Node's X509Certificate reads one issuer; its handshake is OpenSSL's.
const chainReaders = found.filter(({ name }) => !name.startsWith('X509Certificate'))

test.each(chainReaders)('$name refuses a CA that a stolen key signed', async (verifier) => {
  const { now, scope, signer } = await stolenSigner()
  const identifier = parseIdentifier('app.localhost')
  const [root, issuer] = [scope.root.toString(), scope.intermediate.toString()]
  const { ca, leaf } = await subordinate(now, signer, identifier.value)
  const shown = { title: 'stolen', keyType: 'p256', root, identifier, asked: identifier.value }
  const chain = { ...shown, keyType: 'p256', leaf, intermediate: ca + issuer } as const
  const [verdict] = await verifier.verdicts(await temporaryDirectory(), [chain])
  expect(verdict).toMatch(/path ?len|not trusted|-8156|-8157|-8101|-8187/i)
})

test.skipIf(!openssl)(
  `the root’s list of revocations is the root’s, empty, and as long good${skipped}`,
  async () => {
    const directory = await temporaryDirectory()
    const now = new Date()
    const state = { path: join(directory, 'state'), owner: null }
    const { scope } = await ensureAuthority(state, now)
    const crl = join(scopePath(state, 'local'), 'root.crl')
    const read = ['crl', '-inform', 'DER', '-in', crl, '-noout']
    const good = await runTool('openssl', [
      ...read,
      '-text',
      '-nextupdate',
      '-CAfile',
      scope.rootPath,
    ])
    expect(good.stderr).toContain('verify OK')
    expect(good.stdout).toContain('No Revoked Certificates')
    const nextUpdate = /nextUpdate=(.*)/.exec(good.stdout)?.[1] ?? ''
    expect(Date.parse(nextUpdate)).toBe(Date.parse(scope.root.validTo))

    const other = await ensureAuthority({ path: join(directory, 'other'), owner: null }, now)
    const bad = await runTool('openssl', [...read, '-CAfile', other.scope.rootPath])
    expect(bad.stderr).not.toContain('verify OK')
  },
)

test.skipIf(!openssl)(
  `OpenSSL checks the intermediate against the root’s list${skipped}`,
  async () => {
    const directory = await temporaryDirectory()
    const state = { path: join(directory, 'state'), owner: null }
    const { scope } = await ensureAuthority(state, new Date())
    const crl = join(scopePath(state, 'local'), 'root.crl')
    const intermediate = join(scopePath(state, 'local'), 'intermediate.pem')
    const pem = join(directory, 'root.crl.pem')
    await runTool('openssl', ['crl', '-inform', 'DER', '-in', crl, '-out', pem])
    const args = ['verify', '-x509_strict', '-crl_check', '-CAfile', scope.rootPath]
    const checked = await runTool('openssl', [...args, '-CRLfile', pem, intermediate])
    expect(checked.stdout + checked.stderr).toContain('OK')
    const unchecked = await runTool('openssl', [...args, intermediate])
    expect(unchecked.stderr).toContain('unable to get certificate CRL')
  },
)

test('two scopes made from the same plan share no key, no name and no serial number', async () => {
  const plan = { name: 'local', permitted: [], constraints: null }
  const now = new Date()
  const [a, b] = [await makeScope(plan, now), await makeScope(plan, now)]
  expect(a.root).not.toBe(b.root)
  expect(a.scope.issuerName).not.toBe(b.scope.issuerName)
  expect(a.scope.issuerKeyIdentifier).not.toBe(b.scope.issuerKeyIdentifier)
})
