#!/usr/bin/env node
// Simulates certutil.exe of Windows. Sources: Microsoft's reference of certutil (-addstore, -delstore
// and -store with CertificateStoreName, CertId, OutputFile, and the options each takes); outputs
// quoted in public issue threads: `Cert Hash(sha1)` with and without spaces, localized words, and
// HRESULTs 0x80092004 (not found), 0x80070005 (no rights), 0x800704c7 (1223, cancelled). The
// user's store shows the roots of the machine as well (logical stores, "System Store Locations").
import { X509Certificate } from 'node:crypto'
import { existsSync, writeFileSync } from 'node:fs'
import { certificatesOf, fail, hang, hash, readState, writeState } from './support.mjs'

const state = readState('windows', {
  user: [],
  machine: [],
  elevated: false,
  /** What the person answers in the dialog: yes, no or hang. */
  answer: 'yes',
  language: 'en',
  spaces: false,
})

const verbs = { '-addstore': [2, 2], '-delstore': [2, 2], '-store': [0, 3] }
const words = {
  en: {
    certificate: 'Certificate',
    serial: 'Serial Number',
    subject: 'Subject',
    hash: 'Cert Hash(sha1)',
    done: (verb) => `CertUtil: ${verb} command completed successfully.`,
    failed: (verb, code) => `CertUtil: ${verb} command FAILED: ${code}`,
  },
  de: {
    certificate: 'Zertifikat',
    serial: 'Seriennummer',
    subject: 'Antragsteller',
    hash: 'Zertifikathash(sha1)',
    done: (verb) => `CertUtil: ${verb}-Befehl wurde erfolgreich ausgeführt.`,
    failed: (verb, code) => `CertUtil: ${verb}-Befehl ist fehlgeschlagen: ${code}`,
  },
  zh: {
    certificate: '证书',
    serial: '序列号',
    subject: '使用者',
    hash: '证书哈希(sha1)',
    done: (verb) => `CertUtil: ${verb} 命令成功完成。`,
    failed: (verb, code) => `CertUtil: ${verb} 命令失败: ${code}`,
  },
}[state.language]

let verb = ''
let location = 'machine'
const operands = []
for (const word of process.argv.slice(2)) {
  const name = word.toLowerCase().replace(/^\//, '-')
  if (!word.startsWith('-') && !(word.startsWith('/') && verb === '')) operands.push(word)
  else if (operands.length > 0 || (verb !== '' && name in verbs)) unknown(word)
  else if (name in verbs) verb = name
  else if (name === '-user') location = 'user'
  else if (!['-f', '-silent'].includes(name)) unknown(word)
}
if (verb === '') unknown(process.argv[2] ?? '')
const [least, most] = verbs[verb]
if (operands.length < least || operands.length > most) stop(0x80070057)
const [store, id, output] = operands
// The dialog guards the root store; a store of another name would need none and trust nothing.
if (store?.toLowerCase() !== 'root') stop(0x80070057)

if (verb === '-addstore') await addStore()
else if (verb === '-delstore') await deleteStore()
else showStore()
writeState('windows', state)
console.log(words.done(verb))

async function addStore() {
  const file = toLocal(id)
  if (!existsSync(file)) stop(0x80070002)
  const [certificate] = certificatesOf(file)
  if (certificate === undefined) stop(0x8007000d)
  if (location === 'machine' && !state.elevated) stop(0x80070005)
  const base64 = certificate.raw.toString('base64')
  if (state[location].includes(base64)) return
  if (location === 'user') await ask()
  state[location].push(base64)
}

async function deleteStore() {
  const base64 = matching()[0]
  if (base64 === undefined) stop(0x80092004)
  const isMachines = !state.user.includes(base64) || location === 'machine'
  if (isMachines && !state.elevated) stop(0x80070005)
  if (location === 'user') await ask()
  const held = isMachines ? state.machine : state.user
  held.splice(held.indexOf(base64), 1)
}

function showStore() {
  const found = matching()
  if (id !== undefined && found.length === 0) stop(0x80092004)
  console.log(`${store} "Root"`)
  for (const [index, base64] of found.entries()) {
    const { raw, serialNumber, subject } = new X509Certificate(Buffer.from(base64, 'base64'))
    const thumbprint = hash('sha1', raw)
    console.log(`================ ${words.certificate} ${index} ================`)
    console.log(`${words.serial}: ${serialNumber.toLowerCase()}`)
    console.log(`${words.subject}: ${subject.split('\n').toReversed().join(', ')}`)
    const shown = state.spaces ? thumbprint.match(/../g).join(' ') : thumbprint
    console.log(`${words.hash}: ${shown}`)
    if (output !== undefined) writeFileSync(toLocal(output), raw)
  }
}

/** CertId: a hash, a serial number, or a part of the subject; without one, all. */
function matching() {
  const held = location === 'user' ? [...state.user, ...state.machine] : state.machine
  return [...new Set(held)].filter((base64) => {
    const { raw, serialNumber, subject } = new X509Certificate(Buffer.from(base64, 'base64'))
    const wanted = id?.toLowerCase()
    if (wanted === undefined || verb === '-addstore') return true
    return (
      hash('sha1', raw) === wanted ||
      serialNumber.toLowerCase() === wanted ||
      subject.toLowerCase().includes(wanted)
    )
  })
}

async function ask() {
  if (state.answer === 'hang') await hang()
  if (state.answer === 'no') stop(0x800704c7)
}

/** A path of WSL's own file system, as Windows sees it, becomes the local one again. */
function toLocal(file) {
  const share = /^\\\\wsl\.localhost\\[^\\]+/.exec(file)
  return share ? file.slice(share[0].length).replaceAll('\\', '/') : file
}

function unknown(word) {
  fail(0x80070057, `CertUtil: Unknown arg: ${word}`, process.stdout)
}

function stop(code) {
  return fail(code, words.failed(verb, `0x${code.toString(16)}`), process.stdout)
}
