import { constants, createPublicKey, publicEncrypt, type KeyObject } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { complaintOf, makeTemporaryDirectory, run } from '../../platform/command.ts'
import type { CommandResult } from '../../platform/command.ts'
import { findProgram } from '../../platform/programs.ts'
import { RootlingError } from '../errors.ts'
import { exists } from '../files/exists.ts'
import { readSecretText } from '../files/secret-file.ts'
import { quotedPath, shellWord } from '../shell-word.ts'
import type { Pkcs11Key } from './pkcs11-uri.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** An RSA key in a PKCS #11 module, by OpenSC's pkcs11-tool. */
export interface WrappingKey {
  /** Encrypts a text so that only the private key, which never leaves the module, opens it. */
  wrap(text: string): Promise<Buffer>
  /** Has the module decrypt. Throws `bad-key` for what another key wrapped. */
  unwrap(wrapped: Buffer): Promise<string>
}

/** The module may be on the other side of a network. */
const timeLimit = 60_000

/** The variable that gives the PIN to pkcs11-tool: other users can read a command line. */
const pinVariable = 'ROOTLING_PKCS11_PIN'

/** RSA-OAEP with SHA-1 (RFC 8017), the only hash that SoftHSM 2.6 takes; for OAEP it is no weakness. */
const oaep = ['--mechanism', 'RSA-PKCS-OAEP', '--hash-algorithm', 'SHA-1', '--mgf', 'MGF1-SHA1']

const fewestBits = 2_048

/**
 * Finds a key in its module. Throws `tool-missing` without pkcs11-tool, `file-unreadable` without the
 * module or the PIN's file, `loose-key` where others can read that, `bad-key` for a wrong PIN, token or
 * key, and `tool-failed` and `tool-timeout` for a module that does not work.
 */
export async function openWrappingKey(key: Pkcs11Key, env: Environment): Promise<WrappingKey> {
  const tool = await openTool(key, env)
  const id = await findKey(key, tool)
  return {
    async wrap(text) {
      const publicKey = await readPublicKey(key, id, tool)
      const padding = constants.RSA_PKCS1_OAEP_PADDING
      return publicEncrypt({ key: publicKey, padding, oaepHash: 'sha1' }, Buffer.from(text))
    },
    async unwrap(wrapped) {
      const opened = await tool(['--decrypt', ...oaep, `--id=${id}`], wrapped)
      if (opened.exitCode === 0) return opened.stdout
      if (/C_Decrypt(?!Init)/.test(opened.stderr))
        throw new RootlingError(
          'bad-key',
          `The key ${nameOf(key)} is not the one that the keys in the database were sealed for.`,
          { hint: 'Restore that key into the token from its backup' },
        )
      throw failed(key, opened)
    },
  }
}

/** Runs pkcs11-tool with the token open. What it prints may be a secret. */
type Tool = (args: readonly string[], input?: Buffer) => Promise<CommandResult>

async function openTool(key: Pkcs11Key, env: Environment): Promise<Tool> {
  const program = await findProgram('pkcs11-tool', env, false)
  if (program === null)
    throw new RootlingError('tool-missing', 'pkcs11-tool, which speaks PKCS #11, is not there.', {
      hint: 'Install OpenSC: sudo apt-get install opensc',
    })
  if (!(await exists(key.modulePath)))
    throw new RootlingError(
      'file-unreadable',
      `There is no PKCS #11 module ${quotedPath(key.modulePath)}.`,
      { hint: 'module-path is the path of the shared library that came with the module' },
    )
  const pin = readPin(key.pinSource)
  const line = ['--module', key.modulePath, `--token-label=${key.token}`]
  const all = [...line, '--login', '--pin', `env:${pinVariable}`]
  return (args, input) =>
    run(program, [...all, ...args], {
      env: { ...env, [pinVariable]: pin },
      timeLimit,
      ...(input === undefined ? {} : { input }),
    })
}

function readPin(path: string): string {
  const text = readSecretText(path)
  if (text === null)
    throw new RootlingError('file-unreadable', `There is no file ${quotedPath(path)}.`, {
      hint: `Its first line is the PIN of the token: (umask 077 && cat > ${shellWord(path)})`,
    })
  const pin = text.split(/\r?\n/)[0] ?? ''
  if (pin !== '' && !pin.includes('\0')) return pin
  throw new RootlingError('bad-key', `The first line of ${quotedPath(path)} is no PIN.`, {
    hint: 'Write the PIN of the token there, and nothing else',
  })
}

/**
 * Returns the ID of the one private key that the labels name, in hex. pkcs11-tool 0.23 ignores a label
 * when it decrypts and takes the first key, so the ID is looked up.
 */
async function findKey(key: Pkcs11Key, tool: Tool): Promise<string> {
  const listed = await tool(['--list-objects', '--type', 'privkey'])
  if (listed.exitCode !== 0) throw failed(key, listed)
  const found = parseObjects(listed.stdout).filter(
    ({ label, id }) =>
      (key.object === undefined || label === key.object) && (key.id === undefined || id === key.id),
  )
  const [only, ...more] = found
  if (only === undefined)
    throw new RootlingError(
      'bad-key',
      `The token ${key.token} has no private key ${nameOf(key)}.`,
      {
        hint: `See which it has: pkcs11-tool --module ${shellWord(key.modulePath)} --token-label ${shellWord(key.token)} --login --list-objects`,
      },
    )
  if (more.length > 0)
    throw new RootlingError(
      'bad-key',
      `The token ${key.token} has ${found.length} private keys ${nameOf(key)}.`,
      { hint: 'Name one by its ID too, such as object=rootling;id=%01' },
    )
  if (only.id !== null) return only.id
  throw new RootlingError('bad-key', `The key ${nameOf(key)} has no ID (CKA_ID).`, {
    hint: 'Give it one: pkcs11-tool --login --type privkey --label LABEL --set-id 01',
  })
}

interface Listed {
  readonly label: string | null
  /** In hex. */
  readonly id: string | null
}

/** Reads what pkcs11-tool lists: a line for each object, and indented lines for what it has. */
function parseObjects(text: string): Listed[] {
  const field = (object: string, name: string): string | null =>
    new RegExp(`^ {2}${name}: *(.*)$`, 'm').exec(object)?.[1] ?? null
  return text
    .split(/^(?=\S)/m)
    .filter((object) => object.startsWith('Private Key Object'))
    .map((object) => ({
      label: field(object, 'label'),
      id: /^[0-9a-f]+$/.exec(field(object, 'ID') ?? '')?.[0] ?? null,
    }))
}

async function readPublicKey(key: Pkcs11Key, id: string, tool: Tool): Promise<KeyObject> {
  const directory = await makeTemporaryDirectory()
  try {
    const file = join(directory, 'key.der')
    const line = ['--read-object', '--type', 'pubkey', `--id=${id}`, '--output-file', file]
    const read = await tool(line)
    if (read.exitCode !== 0) throw failed(key, read)
    return checked(await readFile(file), key)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

function checked(der: Buffer, key: Pkcs11Key): KeyObject {
  const hint =
    'Make an RSA key there: pkcs11-tool --login --keypairgen --key-type rsa:3072 --usage-decrypt --label rootling --id 01'
  let publicKey: KeyObject
  try {
    publicKey = createPublicKey({ key: der, format: 'der', type: 'spki' })
  } catch (cause) {
    throw new RootlingError('bad-key', `The public key ${nameOf(key)} cannot be read.`, {
      hint,
      cause,
    })
  }
  if (publicKey.asymmetricKeyType !== 'rsa')
    throw new RootlingError('bad-key', `The key ${nameOf(key)} is no RSA key.`, { hint })
  const bits = publicKey.asymmetricKeyDetails?.modulusLength ?? 0
  if (bits >= fewestBits) return publicKey
  throw new RootlingError('bad-key', `The key ${nameOf(key)} has only ${bits} bits.`, { hint })
}

const nameOf = ({ object, id }: Pkcs11Key): string =>
  [object, id === undefined ? undefined : `id=${id}`].filter(Boolean).join(' ')

/** What went wrong, by what pkcs11-tool says of it. */
function failed(key: Pkcs11Key, result: CommandResult): RootlingError {
  const { stderr } = result
  const { token, pinSource, modulePath } = key
  if (/CKR_PIN_LOCKED/.test(stderr))
    return new RootlingError('bad-key', `The token ${token} is locked after too many wrong PINs.`, {
      hint: 'Its security officer can set a new PIN',
    })
  if (/CKR_PIN_/.test(stderr))
    return new RootlingError(
      'bad-key',
      `The PIN in ${quotedPath(pinSource)} does not open the token ${token}.`,
      { hint: 'Correct it before the next start: many tokens lock after a few wrong PINs' },
    )
  if (/No slot with token named/.test(stderr))
    return new RootlingError('bad-key', `The module has no token ${token}.`, {
      hint: `See which it has: pkcs11-tool --module ${shellWord(modulePath)} --list-token-slots`,
    })
  if (/Failed to load pkcs11 module/.test(stderr))
    return new RootlingError(
      'tool-failed',
      `${quotedPath(modulePath)} cannot be loaded as a PKCS #11 module.`,
      { hint: `pkcs11-tool --module ${shellWord(modulePath)} --show-info` },
    )
  // Only its errors: on standard output there may be the secret.
  const said = complaintOf({ exitCode: result.exitCode, stderr, stdout: '' })
  return new RootlingError('tool-failed', `pkcs11-tool failed${said === '' ? '' : `: ${said}`}.`, {
    hint: `See what the token can do: pkcs11-tool --module ${shellWord(modulePath)} --list-mechanisms`,
  })
}
