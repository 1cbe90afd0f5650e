import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { RootlingError } from '../../src/errors.ts'
import { withAnchorFile, withDirectory } from '../anchor-file.ts'
import { timeLimits, type CommandResult } from '../command.ts'
import type { Machine } from '../machine.ts'
import { isOwnSubject } from '../own-subject.ts'
import { certificatesIn, createAnchor, distinctAnchors } from '../pem.ts'
import { unsupported, type StoreScope, type TrustAnchor, type TrustStore } from '../trust-store.ts'
import { systemProgram } from './system-program.ts'

/** How the programs of Windows are reached: directly, or from a Linux that runs inside it. */
export interface WindowsSide {
  readonly title: string
  /** Path of Windows' certutil.exe, which is not NSS's program of that name. */
  readonly certutil: string
  readonly whoami: string
  isThere(): Promise<boolean>
  /** Returns a file's path as a Windows program understands it. */
  toWindowsPath(file: string): Promise<string>
}

/**
 * The exit codes of certutil that are told apart, as HRESULTs. WSL passes on only their last byte.
 */
const hresults = { cancelled: 0x800704c7, notFound: 0x80092004, accessDenied: 0x80070005 }

type Verb = '-addstore' | '-delstore'

/**
 * Matches the integrity level of an elevated process or of the system, which unlike names is not
 * localized.
 */
const elevatedLevels = /S-1-16-(?:12288|16384)\b/

/**
 * The options that choose the user's or the machine's store. With `-user`, certutil also shows the
 * machine's roots.
 */
const locations = { user: ['-user'], system: [] } as const

/** Returns the programs of the Windows that this process runs on. */
export function nativeWindows(machine: Machine): WindowsSide {
  const certutil = systemProgram('certutil.exe', machine.env)
  return {
    title: 'Windows root store',
    certutil,
    whoami: systemProgram('whoami.exe', machine.env),
    isThere: async () => (await machine.find(certutil)) !== null,
    toWindowsPath: async (file) => file,
  }
}

/**
 * A store that keeps roots in the root store of Windows, through its certutil. By default an
 * elevated process uses the store of the machine, because Windows then asks nothing, and any other
 * process the user's store.
 */
export function createWindowsRootStore(
  machine: Machine,
  side: WindowsSide,
  storeScope?: StoreScope,
): TrustStore {
  const elevated = atMostOnce(async () => {
    const { exitCode, stdout } = await machine.query(side.whoami, ['/groups'])
    return exitCode === 0 && elevatedLevels.test(stdout)
  })

  const target = async () => storeScope ?? ((await elevated()) ? 'system' : 'user')

  /**
   * Returns the certificate that the store keeps under a hash or a serial number; `null`: there is
   * none.
   */
  async function find(location: StoreScope, id: string): Promise<Buffer | null> {
    return withDirectory(machine, async (directory) => {
      const file = path.join(directory, 'found.cer')
      const args = ['-store', 'Root', id, await side.toWindowsPath(file)]
      const result = await machine.query(side.certutil, [...locations[location], ...args])
      if (isResult(result, hresults.notFound)) return null
      if (result.exitCode !== 0) throw failure('could not be read', result)
      const bytes = await readFile(file)
      return certificatesIn(bytes.toString('latin1'))[0] ?? bytes
    })
  }

  const isIn = async (location: StoreScope, anchor: TrustAnchor) =>
    (await find(location, thumbprintOf(anchor)))?.equals(anchor.der) ?? false

  async function change(location: StoreScope, anchor: TrustAnchor, verb: Verb, operand: string) {
    const what = verb === '-addstore' ? 'trust the root' : 'delete the root'
    if (location === 'user') machine.announce(promptOf(what, thumbprintOf(anchor)))
    const command = [...locations[location], verb, 'Root', operand]
    const options = { as: 'person', timeLimit: timeLimits.dialog } as const
    const result = await machine.change(side.certutil, command, options).catch((error: unknown) => {
      throw error instanceof RootlingError && error.code === 'tool-timeout'
        ? unanswered(
            'tool-timeout',
            `Windows asked whether to ${what}, and nobody answered.`,
            error,
          )
        : error
    })
    if (result.exitCode === 0) return
    if (isResult(result, hresults.cancelled)) {
      throw unanswered('cancelled', `Windows asked whether to ${what}, and the answer was not Yes.`)
    }
    if (isResult(result, hresults.accessDenied)) throw needsElevation()
    throw failure('was not changed', result)
  }

  const store: TrustStore = {
    id: 'system:windows-root',
    kind: 'system',
    title: side.title,

    async availability() {
      if (!(await side.isThere())) return unsupported(`${side.certutil} is not there.`)
      if ((await target()) === 'system' && !(await elevated())) {
        const { message, hint } = needsElevation()
        return unsupported(message, hint)
      }
      return { available: true }
    },

    async list() {
      const anchors: TrustAnchor[] = []
      for (const location of ['user', 'system'] as const) {
        const listed = await machine.query(side.certutil, [
          ...locations[location],
          '-store',
          'Root',
        ])
        if (listed.exitCode !== 0) throw failure('could not be read', listed)
        for (const hash of ownHashes(listed.stdout)) {
          const der = await find(location, hash)
          if (der !== null && isOwnSubject(der)) anchors.push(createAnchor(der))
        }
      }
      return distinctAnchors(anchors)
    },

    has: async (anchor) => (await isIn('user', anchor)) || (await isIn('system', anchor)),

    async install(anchor) {
      if (await store.has(anchor)) return
      const location = await target()
      await withAnchorFile(machine, anchor, async (file) => {
        await change(location, anchor, '-addstore', await side.toWindowsPath(file))
      })
    },

    async uninstall(anchor) {
      // The machine's store comes first, because its roots are shown in the user's store too.
      for (const location of ['system', 'user'] as const) {
        if (!(await isIn(location, anchor))) continue
        if (location === 'system' && !(await elevated())) throw needsElevation()
        await change(location, anchor, '-delstore', thumbprintOf(anchor))
      }
    },
  }
  return store
}

/**
 * Returns the SHA-1 of the DER, which Windows calls the thumbprint. It only finds the certificate;
 * the DER is compared afterwards.
 */
function thumbprintOf({ der }: TrustAnchor): string {
  return createHash('sha1').update(der).digest('hex')
}

/**
 * Returns the hashes of Rootling's roots in the output of `certutil -store`, whose words are
 * localized, and in which some versions put spaces between the bytes. A serial number that looks
 * like a hash may be among them; certutil finds the same certificate by it.
 */
export function ownHashes(text: string): string[] {
  const blocks = text.split(/^={5,}[^=\r\n]+={5,}\r?$/m)
  const ours = blocks.filter((block) => block.includes('Rootling development CA'))
  const values = ours.flatMap((block) =>
    Array.from(block.matchAll(/[:：]\s*([0-9a-f][0-9a-f ]{38,58})\r?$/gim), ([, value = '']) =>
      value.replaceAll(' ', '').toLowerCase(),
    ),
  )
  return [...new Set(values.filter((value) => value.length === 40))]
}

function isResult({ exitCode }: CommandResult, hresult: number): boolean {
  const code = exitCode >>> 0
  return code === hresult || code === (hresult & 0xffff) || code === (hresult & 0xff)
}

function promptOf(what: string, thumbprint: string): string {
  return `Windows opens a dialog that asks whether to ${what} with the thumbprint ${thumbprint}.`
}

function unanswered(code: 'cancelled' | 'tool-timeout', sentence: string, cause?: unknown) {
  return new RootlingError(code, sentence, {
    hint: 'Run it again and answer Yes; where nobody can answer (CI), run it as administrator',
    cause,
  })
}

function needsElevation() {
  return new RootlingError(
    'store-failed',
    'The root store of the whole machine can be changed by an administrator only.',
    { hint: 'Run it again in a terminal that was opened as administrator' },
  )
}

function failure(what: string, { exitCode, stdout, stderr }: CommandResult) {
  const said = (stderr.trim() || stdout.trim()).split(/\r?\n/).at(-1)?.slice(0, 300) ?? ''
  const code = `0x${(exitCode >>> 0).toString(16)}`
  return new RootlingError('tool-failed', `Windows' root store ${what} (${code}): ${said}`)
}

/**
 * Returns a function that calls `work` only the first time, and returns the same answer every time.
 */
function atMostOnce<T>(work: () => Promise<T>): () => Promise<T> {
  let answer: Promise<T> | undefined
  return () => (answer ??= work())
}
