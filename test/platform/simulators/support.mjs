// What the simulators share: a state on disk, exit codes, certificates. A simulator answers as the
// named source says the real tool answers; where no source is named, the answer is nowhere relied on.
import { spawnSync } from 'node:child_process'
import { createHash, X509Certificate } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

/** The directory that stands for the simulated machine. */
export const machine = process.env.SIMULATED_MACHINE ?? fail(70, 'SIMULATED_MACHINE is not set')

/** Whether the simulated caller is root. */
export const isRoot = process.env.SIMULATED_ACTOR === 'root'

/** Ends the program: exit codes of Windows do not fit into a byte, so the whole is left in a file. */
export function fail(code, message = '', output = process.stderr) {
  if (message !== '') output.write(`${message}\n`)
  if (process.env.SIMULATED_MACHINE)
    writeFileSync(path.join(process.env.SIMULATED_MACHINE, 'exit-code'), String(code))
  process.exit(code & 0xff)
}

export function readState(name, initial) {
  const file = path.join(machine, `${name}.json`)
  return { ...initial, ...(existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}) }
}

export function writeState(name, state) {
  mkdirSync(machine, { recursive: true })
  writeFileSync(path.join(machine, `${name}.json`), JSON.stringify(state, null, 2))
}

/** A dialog that nobody answers: the program stays until it is killed. */
export function hang() {
  setInterval(() => {}, 1000)
  return new Promise(() => {})
}

const block = /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[^-]+-----END (?:TRUSTED )?CERTIFICATE-----/g

/** The certificates of a PEM or DER file; none when it holds none. */
export function certificatesOf(file) {
  const bytes = readFileSync(file)
  const blocks = bytes.toString('latin1').match(block) ?? []
  try {
    return (blocks.length > 0 ? blocks : [bytes]).map((each) => new X509Certificate(each))
  } catch {
    return []
  }
}

/** What OpenSSL finds in a PKCS #12 file, the key's own certificate first; `null`: the password is wrong. */
export function openPkcs12(file, password) {
  const args = ['pkcs12', '-in', file, '-info', '-passin', 'env:PASSWORD', '-nodes']
  const env = { ...process.env, PASSWORD: password }
  const { status, stdout, stderr } = spawnSync('openssl', args, { env, encoding: 'utf8' })
  if (status !== 0 || !stdout.includes('PRIVATE KEY')) return null
  const certificates = stdout.match(block).map((each) => new X509Certificate(each))
  return { certificates, modern: stderr.includes('PBES2') }
}

export const hash = (algorithm, der) => createHash(algorithm).update(der).digest('hex')

/** getopt(3) of BSD: bundled flags, values attached or apart; it stops at the first operand. */
export function getopt(args, flags) {
  const options = []
  let index = 0
  for (; index < args.length; index++) {
    const word = args[index]
    if (word === '--') return { options, operands: args.slice(index + 1) }
    if (!word.startsWith('-') || word === '-') break
    for (let at = 1; at < word.length; at++) {
      const place = word[at] === ':' ? -1 : flags.indexOf(word[at])
      if (place === -1) return null
      if (flags[place + 1] !== ':') {
        options.push([word[at], true])
        continue
      }
      const value = word.slice(at + 1) || args[++index]
      if (value === undefined) return null
      options.push([word[at], value])
      break
    }
  }
  return { options, operands: args.slice(index) }
}
