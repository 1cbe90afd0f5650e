#!/usr/bin/env node
// Simulates security(1) of macOS. Sources: Apple's Security project, SecurityTool, files
// trusted_cert_add.c (getopt string, usage is exit code 2, the certificate goes into the keychain
// before the trust settings, a duplicate is no error), verify_cert.c, keychain_find.c,
// keychain_delete.c, keychain_import.c, identity_find.c, security.c (split_line, and that -i ends with
// the code of its last line); delete-identity as security(1) of March 2017 has it; an OSStatus that is
// returned as it is ends as its last byte (-25300 is 44).
import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import {
  certificatesOf,
  fail,
  getopt,
  hang,
  hash,
  isRoot,
  openPkcs12,
  readState,
  writeState,
} from './support.mjs'

const systemKeychain = '/Library/Keychains/System.keychain'
const state = readState('macos', {
  /** Keychain path to the certificates in it, base64. */
  keychains: { [systemKeychain]: [] },
  /** SHA-1 to the policies that a domain trusts it for. */
  user: {},
  admin: {},
  /** Keychain path to those of its certificates that have their key there. */
  identities: {},
  /** Before macOS 15 the modern form of PKCS #12 is not understood. */
  legacyOnly: false,
  locked: [],
  /** What launchctl calls the session: only Aqua can show a dialog. */
  session: 'Aqua',
  /** What the person does with the dialog: allow, cancel or hang. */
  answer: 'allow',
  /** Rights that `authorizationdb write RIGHT allow` gave to everybody. */
  allowed: [],
  language: 'en',
})

// SecErrorMessages.strings of Security.framework; the sentences come in the language of the person.
const sentences = {
  en: {
    denied: 'The authorization was denied since no user interaction was possible.',
    cancelled: 'The authorization was cancelled by the user.',
    locked: 'User interaction is not allowed.',
    absent: 'The specified item could not be found in the keychain.',
    noKeychain: 'The specified keychain could not be found.',
    readOnly: 'Write permissions error.',
    exists: 'The specified item already exists in the keychain.',
    verify: 'MAC verification failed during PKCS12 import (wrong password?)',
  },
  de: {
    denied: 'Die Autorisierung wurde verweigert, da keine Benutzerinteraktion möglich war.',
    cancelled: 'Die Autorisierung wurde vom Benutzer abgebrochen.',
    locked: 'Benutzerinteraktion ist nicht erlaubt.',
    absent: 'Das angegebene Objekt konnte nicht im Schlüsselbund gefunden werden.',
    noKeychain: 'Der angegebene Schlüsselbund wurde nicht gefunden.',
    readOnly: 'Fehler bei den Schreibrechten.',
    exists: 'Das angegebene Objekt ist bereits im Schlüsselbund vorhanden.',
    verify: 'MAC-Überprüfung fehlgeschlagen während des PKCS12-Imports (falsches Passwort?)',
  },
}
const say = sentences[state.language]
const policyNames = new Set([
  'ssl',
  'smime',
  'codeSign',
  'IPSec',
  'basic',
  'swUpdate',
  'pkgSign',
  'eap',
])

const commands = {
  'add-trusted-cert': addTrustedCert,
  'remove-trusted-cert': removeTrustedCert,
  'verify-cert': verifyCert,
  'find-certificate': findCertificate,
  'delete-certificate': deleteCertificate,
  import: importItems,
  'find-identity': findIdentity,
  'delete-identity': deleteIdentity,
}
let [command, ...args] = process.argv.slice(2)
if (command === '-i' && args.length === 0) {
  // One line is all that anybody here types.
  const lines = readFileSync(0, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
  if (lines.length !== 1 || lines[0].length >= 4096) fail(70, 'not one line')
  ;[command, ...args] = splitLine(lines[0])
}
const run = commands[command] ?? (() => fail(1, `security: unknown command "${command}"`))
await run()
writeState('macos', state)

function parse(flags) {
  return getopt(args, flags) ?? usage()
}

function usage() {
  return fail(2, `Usage: ${command} [...]`)
}

async function addTrustedCert() {
  if (args.length === 0) usage()
  const { options, operands } = parse('dr:a:p:s:e:u:k:i:o:Dh')
  const given = (flag) => options.filter(([name]) => name === flag).map(([, value]) => value)
  for (const result of given('r'))
    if (!['trustRoot', 'trustAsRoot', 'deny', 'unspecified'].includes(result)) usage()
  if (given('p').some((name) => !policyNames.has(name)) || given('h').length > 0) usage()
  if (operands.length !== 1) fail(2, 'No cert file specified.')
  const domain = given('d').length > 0 ? 'admin' : 'user'
  const der = readCertificate(operands[0])
  const [keychain] = given('k')
  if (keychain !== undefined) {
    const held = state.keychains[keychain]
    if (held === undefined) fail(1, `SecCertificateAddToKeychain: ${say.noKeychain}`)
    if (state.locked.includes(keychain)) fail(1, `SecCertificateAddToKeychain: ${say.locked}`)
    if (keychain === systemKeychain && !isRoot)
      fail(1, `SecCertificateAddToKeychain: ${say.readOnly}`)
    if (!held.includes(der.toString('base64'))) held.push(der.toString('base64'))
    writeState('macos', state)
  }
  await authorize(domain, 'SecTrustSettingsSetTrustSettings')
  // No policy at all is trust for every policy.
  state[domain][hash('sha1', der)] = given('p').length > 0 ? given('p') : ['*']
}

async function removeTrustedCert() {
  const { options, operands } = parse('dDh')
  if (operands.length !== 1 || options.some(([flag]) => flag !== 'd')) usage()
  const domain = options.length > 0 ? 'admin' : 'user'
  const thumbprint = hash('sha1', readCertificate(operands[0]))
  const name = 'SecTrustSettingsRemoveTrustSettings'
  if (state[domain][thumbprint] === undefined) fail(1, `${name}: ${say.absent}`)
  await authorize(domain, name)
  delete state[domain][thumbprint]
}

function verifyCert() {
  if (args.length === 0) usage()
  const { options, operands } = parse('Cc:r:p:k:e:s:d:LlNnPqR:tv')
  const files = options.filter(([flag]) => flag === 'c').map(([, file]) => file)
  const policy = options.findLast(([flag]) => flag === 'p')?.[1] ?? 'basic'
  if (operands.length > 0 || !policyNames.has(policy)) usage()
  if (files.length === 0) fail(2, '***No certs specified.')
  const thumbprint = hash('sha1', readCertificate(files[0]))
  const trusted = ['user', 'admin'].some((domain) => {
    const policies = state[domain][thumbprint] ?? []
    return policies.includes('*') || policies.includes(policy)
  })
  const quiet = options.some(([flag]) => flag === 'q')
  if (!trusted) fail(1, quiet ? '' : 'Cert Verify Result: CSSMERR_TP_NOT_TRUSTED')
  if (!quiet) console.log('...certificate verification successful.')
}

function findCertificate() {
  const { options, operands } = parse('hac:e:mpZ')
  const has = (flag) => options.some(([name]) => name === flag)
  const name = options.find(([flag]) => flag === 'c')?.[1] ?? ''
  const keychains = operands.length > 0 ? operands : Object.keys(state.keychains)
  const missing = keychains.find((keychain) => state.keychains[keychain] === undefined)
  if (missing !== undefined) fail(50, `security: SecKeychainSearchCopyNext: ${say.noKeychain}`)
  const all = keychains
    .flatMap((keychain) => state.keychains[keychain])
    .map((base64) => new X509Certificate(Buffer.from(base64, 'base64')))
    .filter(({ subject }) => subject.includes(name))
  if (!has('a') && all.length === 0) fail(44, `security: SecKeychainSearchCopyNext: ${say.absent}`)
  for (const certificate of has('a') ? all : all.slice(0, 1)) {
    if (has('Z')) {
      console.log(`SHA-256 hash: ${hash('sha256', certificate.raw).toUpperCase()}`)
      console.log(`SHA-1 hash: ${hash('sha1', certificate.raw).toUpperCase()}`)
    }
    if (has('p')) process.stdout.write(certificate.toString())
    else console.log('class: 0x80001000')
  }
}

function deleteCertificate() {
  const { options, operands } = parse('hc:Z:t')
  const wanted = options.find(([flag]) => flag === 'Z')?.[1] ?? usage()
  for (const keychain of operands.length > 0 ? operands : Object.keys(state.keychains)) {
    const held = state.keychains[keychain] ?? []
    const found = held.find((base64) => {
      const der = Buffer.from(base64, 'base64')
      return [hash('sha256', der), hash('sha1', der)].includes(wanted.toLowerCase())
    })
    if (found === undefined) continue
    if (keychain === systemKeychain && !isRoot) fail(195, `SecKeychainItemDelete: ${say.readOnly}`)
    if (state.locked.includes(keychain)) fail(36, `SecKeychainItemDelete: ${say.locked}`)
    held.splice(held.indexOf(found), 1)
    return
  }
  fail(1, `Unable to delete certificate matching "${wanted}"`)
}

async function importItems() {
  const [file, ...rest] = args
  if (file === undefined || file.startsWith('-')) usage()
  const { options, operands } = getopt(rest, 'k:t:f:P:wxa:hAT:') ?? usage()
  const given = (flag) => options.findLast(([name]) => name === flag)?.[1]
  if (operands.length > 0 || given('f') !== 'pkcs12') usage()
  const keychain = given('k') ?? usage()
  const held = state.keychains[keychain]
  if (held === undefined) fail(50, `security: SecKeychainOpen: ${say.noKeychain}`)
  if (!existsSync(file))
    fail(1, `security: Error reading infile ${file}: No such file or directory`)
  const name = 'security: SecKeychainItemImport'
  const passphrase = given('P')
  // CFStringCreateWithCString of ASCII gives nothing for anything else, and the dialog opens.
  if (passphrase === undefined || /[^ -~]/.test(passphrase)) {
    if (state.session !== 'Aqua') fail(1, `${name}: ${say.locked}`)
    await hang()
  }
  const found = openPkcs12(file, passphrase)
  if (found === null || (state.legacyOnly && found.modern)) fail(1, `${name}: ${say.verify}`)
  if (state.locked.includes(keychain)) fail(1, `${name}: ${say.locked}`)
  const [own, ...others] = found.certificates.map((each) => each.raw.toString('base64'))
  const identities = (state.identities[keychain] ??= [])
  if (identities.includes(own)) fail(1, `${name}: ${say.exists}`)
  identities.push(own)
  for (const each of [own, ...others]) if (!held.includes(each)) held.push(each)
  console.log('1 identity imported.')
  if (others.length > 0)
    console.log(`${others.length} certificate${others.length > 1 ? 's' : ''} imported.`)
}

function findIdentity() {
  const { options, operands } = parse('hp:s:v')
  if (options.length > 0) usage()
  const found = operands.flatMap((keychain) => state.identities[keychain] ?? [])
  console.log('\nPolicy: X.509 Basic\n  Matching identities')
  for (const [index, base64] of found.entries()) {
    const certificate = new X509Certificate(Buffer.from(base64, 'base64'))
    const name = /CN=(.*)/.exec(certificate.subject)?.[1]
    const thumbprint = hash('sha1', certificate.raw).toUpperCase()
    console.log(`  ${index + 1}) ${thumbprint} "${name}" (CSSMERR_TP_NOT_TRUSTED)`)
  }
  console.log(`     ${found.length} identities found\n`)
  console.log('  Valid identities only\n     0 valid identities found')
}

function deleteIdentity() {
  const { options, operands } = parse('hc:Z:t')
  const wanted = options.find(([flag]) => flag === 'Z')?.[1] ?? usage()
  for (const keychain of operands) {
    const isWanted = (base64) =>
      hash('sha1', Buffer.from(base64, 'base64')).toUpperCase() === wanted
    const identities = state.identities[keychain] ?? []
    if (!identities.some(isWanted)) continue
    state.identities[keychain] = identities.filter((each) => !isWanted(each))
    state.keychains[keychain] = state.keychains[keychain].filter((each) => !isWanted(each))
    return
  }
  fail(1, `Unable to delete identity matching "${wanted}"`)
}

/** security.c: quotes of both kinds, and a backslash takes the next character as it is. */
function splitLine(line) {
  const words = []
  const word = /\s*(?:(["'])((?:\\.|(?!\1)[^\\])*)\1|((?:\\.|[^\s\\"'])(?:\\.|[^\s\\])*))/sy
  for (;;) {
    const match = word.exec(line)
    if (match === null) return words
    words.push((match[2] ?? match[3]).replaceAll(/\\(.)/gs, '$1'))
  }
}

function readCertificate(file) {
  const certificate = existsSync(file) ? certificatesOf(file)[0] : undefined
  return certificate?.raw ?? fail(1, `Error reading file ${file}`)
}

/** Since macOS 11 root alone is not enough for the admin domain: a person has to agree. */
async function authorize(domain, name) {
  if (state.allowed.includes(`com.apple.trust-settings.${domain}`)) return
  if (domain === 'admin' && !isRoot) fail(1, `${name}: ${say.denied}`)
  if (state.session !== 'Aqua') fail(1, `${name}: ${say.denied}`)
  if (state.answer === 'hang') await hang()
  if (state.answer === 'cancel') fail(1, `${name}: ${say.cancelled}`)
}
