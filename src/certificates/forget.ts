import { resolve } from 'node:path'
import { RootlingError } from '../errors.ts'
import { existsSync } from '../files/exists.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { readCurrentInventory, readInventoryOf, recordForgotten } from '../storage/files/record.ts'
import { exclusively } from '../storage/files/unfinished-writes.ts'
import type { CertificateRecord, Inventory } from '../storage/records.ts'
import { fingerprintIn, recordOfFile } from './moved.ts'
import {
  certificatesNamed,
  chosen,
  refusePrinted,
  refuseShortSerial,
  textsOf,
  withoutKept,
} from './named.ts'
import { currentCertificates } from './status.ts'
import { quotedPath } from '../shell-word.ts'

export interface ForgetRequest {
  /** Names, files and serial numbers; none: with `all`, every certificate whose file is gone. */
  readonly words: readonly string[]
  readonly cwd: string
  /** Whether to take every certificate that a word names, of those whose file is gone. */
  readonly all: boolean
}

/**
 * Forgets certificates whose file is gone: they are neither listed nor renewed any more. Their
 * revocation stays known, since a copy of a file may be in use elsewhere. Throws `usage` for a word
 * that names none, several, or one whose file is there; nothing is forgotten then.
 */
export async function forget(
  state: StateDirectory,
  request: ForgetRequest,
  now: Date,
): Promise<CertificateRecord[]> {
  return exclusively(state, async () => {
    const inventory = await readFor(state, request)
    const forgotten = [...new Set(select(state, inventory, request))]
    await recordForgotten(
      state,
      forgotten.map(({ serialNumber }) => serialNumber),
      now,
    )
    return forgotten
  })
}

function readFor(
  state: StateDirectory,
  { words, cwd }: Pick<ForgetRequest, 'words' | 'cwd'>,
): Promise<Inventory> {
  if (words.length === 0) return readCurrentInventory(state)
  const texts = words.flatMap((word) => [...textsOf(word, cwd), fingerprintIn(resolve(cwd, word))])
  return readInventoryOf(
    state,
    texts.filter((text) => text !== null),
  )
}

function select(
  state: StateDirectory,
  inventory: Inventory,
  { words, cwd, all }: ForgetRequest,
): CertificateRecord[] {
  const current = currentCertificates(inventory.certificates).filter(
    ({ serialNumber, certPath }) => certPath !== null && !inventory.forgotten.has(serialNumber),
  )
  if (words.length === 0) return current.filter(isGone)
  return words.flatMap((word) => {
    const found = new Set(certificatesNamed(inventory, word, cwd))
    const listed = current.filter((record) => found.has(record))
    // A file that was moved is known by what it holds.
    const moved = listed.length > 0 ? null : recordOfFile(current, resolve(cwd, word))
    const named = moved !== null ? [moved] : all ? listed : withoutKept(state, listed)
    if (named.length === 0) {
      refusePrinted(inventory, word, { cwd, verb: 'forget' })
      refuseShortSerial(inventory, word, cwd)
    }
    const gone = named.filter(isGone)
    const [kept] = named
    if (gone.length === 0 && kept !== undefined)
      throw new RootlingError(
        'usage',
        `${quotedPath(kept.certPath ?? '')} is there, so it is not forgotten.`,
        {
          hint: 'Delete the file first: only certificates whose file is gone are forgotten',
        },
      )
    return chosen(state, gone, { word, all, command: 'rootling forget' })
  })
}

/** Whether the file of a certificate is gone. Throws where that cannot be found out. */
const isGone = ({ certPath }: CertificateRecord): boolean =>
  certPath !== null && !existsSync(certPath)
