import { RootlingError } from '../errors.ts'

/** Who waits for something. */
export interface Asker {
  /** The IP address that asks; empty: unknown. */
  readonly address: string
  /** Whether the connection has been closed. */
  readonly isGone: () => boolean
}

interface Waiting<T> {
  readonly work: () => Promise<T>
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
  readonly askers: Asker[]
  readonly address: string
}

export interface TurnsOptions {
  /** The most that one address may wait for. */
  readonly mostOfAddress: number
  readonly tooMany: (name: string, address: string, most: number) => RootlingError
}

/** Does work for one name after the other, so that no address and no name waits for all of another. */
export interface Turns<T> {
  /**
   * Does the work for a name when it is the name's turn, or waits for the one that is under way. The
   * addresses take turns; `isFirst` goes before all of them. Throws the error of `tooMany`, and
   * `cancelled` where everybody who waited for the name is gone.
   */
  take(
    name: string,
    asker: Asker & { readonly isFirst: boolean },
    work: () => Promise<T>,
  ): Promise<T>
}

/** The place in the queue of names that go first. */
const front = 'first'

export function createTurns<T>({ mostOfAddress, tooMany }: TurnsOptions): Turns<T> {
  const waiting = new Map<string, Waiting<T>>()
  /** The names that wait, by address; the addresses are in the order of their turns. */
  const queues = new Map<string, string[]>()
  let running = false

  /** Takes the next name out of its queue, and puts the queue behind the others. */
  function next(): Waiting<T> | null {
    const [address, names] =
      [...queues].find(([key]) => key === front) ?? queues.entries().next().value ?? []
    if (address === undefined || names === undefined) return null
    const name = names.shift() ?? ''
    queues.delete(address)
    if (names.length > 0) queues.set(address, names)
    return waiting.get(name) ?? null
  }

  async function run(): Promise<void> {
    running = true
    for (let each = next(); each !== null; each = next())
      try {
        if (each.askers.every(({ isGone }) => isGone())) throw gone()
        each.resolve(await each.work())
      } catch (error) {
        each.reject(error)
      } finally {
        for (const [name, other] of waiting) if (other === each) waiting.delete(name)
      }
    running = false
  }

  /** Takes out what nobody waits for any more, so that only open connections fill a queue. */
  function dropGone(address: string): void {
    const names = queues.get(address) ?? []
    const left = names.filter((name) => {
      const each = waiting.get(name)
      if (each === undefined || !each.askers.every(({ isGone }) => isGone())) return true
      waiting.delete(name)
      each.reject(gone())
      return false
    })
    if (left.length > 0) queues.set(address, left)
    else queues.delete(address)
  }

  return {
    take(name, { isFirst, ...asker }, work) {
      const known = waiting.get(name)
      if (known !== undefined) {
        known.askers.push(asker)
        return known.promise
      }
      const address = isFirst ? front : asker.address
      const count = (): number =>
        [...waiting.values()].filter((each) => each.address === address).length
      if (!isFirst && count() >= mostOfAddress) {
        dropGone(address)
        if (count() >= mostOfAddress)
          return Promise.reject(tooMany(name, asker.address, mostOfAddress))
      }
      const { promise, resolve, reject } = withResolvers<T>()
      waiting.set(name, { work, promise, resolve, reject, askers: [asker], address })
      queues.set(address, [...(queues.get(address) ?? []), name])
      if (!running) void run()
      return promise
    },
  }
}

function withResolvers<T>(): Pick<Waiting<T>, 'promise' | 'resolve' | 'reject'> {
  let resolve = (_value: T): void => undefined
  let reject = (_error: unknown): void => undefined
  const promise = new Promise<T>((onDone, onFailed) => ([resolve, reject] = [onDone, onFailed]))
  return { promise, resolve, reject }
}

const gone = (): RootlingError => new RootlingError('cancelled', 'Nobody waits for it any more.')
