import { scopesIn } from '../authority/scope.ts'
import { RootlingError } from '../errors.ts'
import type { Storage } from '../storage/storage.ts'

export interface KeyWatch {
  /** Resolves when this process cannot open the keys any more, with the error that says so. */
  readonly lost: Promise<RootlingError>
  stop(): void
}

/**
 * Throws `bad-key` where what was given does not open the keys of every authority. Whoever writes something
 * that is sealed asks this first: what a wrong passphrase sealed, the right one would not open.
 */
export async function checkKeys(storage: Storage): Promise<void> {
  for (const { name, keyDigest } of await scopesIn(storage))
    try {
      await storage.keys.read(name, keyDigest)
    } catch (error) {
      if (!(error instanceof RootlingError && error.code === 'bad-key')) throw error
      throw new RootlingError(
        'bad-key',
        `The passphrase does not open the keys in ${storage.place}.`,
        {
          hint: 'Give the passphrase with which the authority was made, or that of the last rekey',
          cause: error,
        },
      )
    }
}

/** In milliseconds. */
const period = 2_000

/**
 * Watches whether what opened the keys still does. After `server rekey` it does not: then the process
 * should end, and its supervisor start another, which reads the new passphrase.
 */
export function watchKeys(storage: Storage): KeyWatch {
  let seen: string | null = null
  let isLooking = false
  let timer: NodeJS.Timeout | undefined
  async function look(): Promise<RootlingError | null> {
    const version = await storage.scopes.version()
    if (version === seen) return null
    try {
      await checkKeys(storage)
    } catch (error) {
      if (error instanceof RootlingError && error.code === 'bad-key') return sealedAnew(error)
      throw error
    }
    seen = version
    return null
  }
  const lost = new Promise<RootlingError>((resolve) => {
    timer = setInterval(() => {
      if (isLooking) return
      isLooking = true
      look()
        .then(
          (error) => error !== null && resolve(error),
          // A database that is away is looked at again.
          () => undefined,
        )
        .finally(() => (isLooking = false))
    }, period)
    timer.unref()
  })
  return { lost, stop: () => clearInterval(timer) }
}

const sealedAnew = (cause: RootlingError): RootlingError =>
  new RootlingError(
    'bad-key',
    'The keys in the database were sealed anew, and what this server was started with does not open them.',
    { hint: 'Start it with what server rekey was given as new', cause },
  )
