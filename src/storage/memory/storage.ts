import { RootlingError } from '../../errors.ts'
import type { Revocation } from '../../x509/revocation.ts'
import { bare, type CertificateRecord } from '../records.ts'
import { digestOf, inOrder, type NewScope, type RotationPart } from '../scopes.ts'
import { isDueForRenewal, parseValidity, renewalTime } from '../../x509/profiles.ts'
import type { CertificateReader, Change, Due, Entry, ScopeReader, Storage } from '../storage.ts'

interface KeptScope extends NewScope {
  readonly key: string
}

/** The scopes by name and RotationPart, such as `local` and `local.next`. */
type Scopes = Map<string, KeptScope>

interface Record {
  /** How often anything was revoked or released, or issued with a revocation that was there before. */
  revocationChanges: number
  /** By serial number, oldest first. */
  readonly certificates: Map<string, CertificateRecord>
  readonly serialNumbers: Map<string, string>
  readonly revocations: Map<string, Revocation>
  readonly forgotten: Set<string>
}

/** How many certificates a page has. */
const pageLength = 1_000

/**
 * Creates a storage that ends with the process, for tests and for authorities that last no longer.
 * A change whose work throws leaves nothing behind.
 */
export function createMemoryStorage(): Storage {
  const scopes: Scopes = new Map()
  const crlNumbers = new Map<string, number>()
  const record: Record = {
    revocationChanges: 0,
    certificates: new Map(),
    serialNumbers: new Map(),
    revocations: new Map(),
    forgotten: new Set(),
  }
  const versions = { scopes: 0, certificates: 0 }
  const readers = {
    scopes: readScopes(scopes, () => String(versions.scopes)),
    certificates: readCertificates(record, () => String(versions.certificates)),
    keys: {
      async read(name: string, digest: string) {
        const { key } = scopes.get(name) ?? missing(name)
        return digestOf(key) === digest ? key : missing(name)
      },
    },
  }
  let last: Promise<unknown> = Promise.resolve()

  /** Returns the calls of a change; each adds to `undo` what takes it back. */
  function openChange(undo: (() => void)[]): Change {
    const put = <K, V>(map: Map<K, V>, key: K, value: V | undefined): void => {
      const before = map.get(key)
      undo.push(() => void (before === undefined ? map.delete(key) : map.set(key, before)))
      if (value === undefined) map.delete(key)
      else map.set(key, value)
    }
    const putScope = (name: string, scope: KeptScope | undefined): void => {
      put(scopes, name, scope)
      versions.scopes++
    }
    const revoke = (serialNumber: string, revocation: Revocation | undefined): void => {
      put(record.revocations, serialNumber, revocation)
      record.revocationChanges++
      versions.certificates++
    }
    return {
      ...readers,
      async createScope(scope, key, part) {
        const name = scope.scope.name + (part ?? '')
        if (scopes.has(name)) return false
        putScope(name, { ...scope, key })
        return true
      },
      async switchScope(name) {
        const next = scopes.get(`${name}.next`) ?? missing(`${name}.next`)
        putScope(`${name}.old`, scopes.get(name))
        putScope(name, next)
        putScope(`${name}.next`, undefined)
      },
      async deleteScope(name, part = '' as RotationPart) {
        putScope(name + part, undefined)
        return []
      },
      async issued(certificates) {
        for (const certificate of certificates) {
          put(record.certificates, certificate.serialNumber, certificate)
          put(record.serialNumbers, certificate.fingerprint, certificate.serialNumber)
          if (record.revocations.has(certificate.serialNumber)) record.revocationChanges++
        }
        versions.certificates++
      },
      revoked: async (revocation) => revoke(revocation.serialNumber, revocation),
      released: async (serialNumber) => revoke(serialNumber, undefined),
      async forgotten(serialNumbers) {
        const added = serialNumbers.filter((one) => !record.forgotten.has(one))
        undo.push(() => added.forEach((one) => record.forgotten.delete(one)))
        for (const one of added) record.forgotten.add(one)
        versions.certificates++
      },
      async nextCrlNumber(scope, now) {
        const next = Math.max((crlNumbers.get(scope) ?? 0) + 1, Math.floor(now.getTime() / 1000))
        put(crlNumbers, scope, next)
        return next
      },
    }
  }

  async function run<T>(work: (change: Change) => Promise<T>): Promise<T> {
    const undo: (() => void)[] = []
    try {
      return await work(openChange(undo))
    } catch (error) {
      for (const one of undo.toReversed()) one()
      versions.scopes++
      versions.certificates++
      record.revocationChanges++
      throw error
    }
  }

  return {
    place: 'the memory of this process',
    ...readers,
    change(work) {
      const done = last.then(() => run(work))
      last = done.catch(() => undefined)
      return done
    },
  }
}

function missing(name: string): never {
  throw new RootlingError('corrupt-state', `There is no scope ${name} in memory.`)
}

function readScopes(scopes: Scopes, version: () => string): ScopeReader {
  const read = (name: string): KeptScope => scopes.get(name) ?? missing(name)
  const isPart = (name: string): boolean => /\.(?:next|old)$/.test(name)
  return {
    version: async () => version(),
    names: async () => inOrder([...scopes.keys()].filter((name) => !isPart(name))),
    async read(name, part = '' as RotationPart) {
      const { scope, root, intermediate, rootCopies, key } = read(name + part)
      const copies = rootCopies === undefined ? {} : { rootCopies }
      return { scope, root, intermediate, ...copies, keyDigest: digestOf(key) }
    },
    async parts() {
      return [...scopes.keys()].filter(isPart).map((whole) => {
        const [name = '', part] = whole.split('.')
        return { name, part: part === 'next' ? '.next' : '.old' }
      })
    },
    rootCrl: async (name) => read(name).rootCrl ?? missing(name),
    rootOcsp: async (name) => read(name).rootOcsp ?? null,
  }
}

function readCertificates(record: Record, version: () => string): CertificateReader {
  const { certificates, serialNumbers, revocations, forgotten } = record
  const entryOf = (certificate: CertificateRecord): Entry => ({
    certificate,
    revocation: revocations.get(certificate.serialNumber) ?? null,
    forgotten: forgotten.has(certificate.serialNumber),
  })
  const find = (serialNumber: string): Entry | null => {
    const certificate = certificates.get(serialNumber)
    return certificate === undefined ? null : entryOf(certificate)
  }
  const isNewest = (one: CertificateRecord, newest: ReadonlyMap<string, CertificateRecord>) =>
    one.certPath !== null && newest.get(one.certPath) === one
  /** The newest certificate of each file. */
  const ofFiles = (): Map<string, CertificateRecord> => {
    const newest = new Map<string, CertificateRecord>()
    for (const one of certificates.values())
      if (one.certPath !== null) newest.set(one.certPath, one)
    return newest
  }
  async function* pages(chosen: readonly CertificateRecord[]): AsyncGenerator<readonly Entry[]> {
    for (let start = 0; start < chosen.length; start += pageLength)
      yield chosen.slice(start, start + pageLength).map(entryOf)
  }
  return {
    version: async () => version(),
    find: async (serialNumber) => find(serialNumber),
    findByFingerprint: async (fingerprint) => find(serialNumbers.get(fingerprint) ?? ''),
    async findByFile(certPath) {
      const found = ofFiles().get(certPath)
      return found === undefined ? null : entryOf(found)
    },
    revocationOf: async (serialNumber) =>
      [...revocations.values()].find((one) => bare(one.serialNumber) === bare(serialNumber)) ??
      null,
    revocationsVersion: async () => String(record.revocationChanges),
    async due(at, { scopes, also = [] }) {
      const newest = ofFiles()
      const entries = [...certificates.values()]
        .filter((one) => isNewest(one, newest) && scopes.includes(one.scope))
        .map(entryOf)
        .filter(({ revocation, forgotten: isForgotten }) => revocation === null && !isForgotten)
      const isDue = ({ certificate }: Entry): boolean =>
        isDueForRenewal(parseValidity(certificate), at) || also.includes(certificate.serialNumber)
      const times = entries
        .filter((entry) => !isDue(entry))
        .map(({ certificate }) => renewalTime(parseValidity(certificate)))
      const next = times.length === 0 ? null : Math.min(...times)
      return { entries: entries.filter(isDue), next } satisfies Due
    },
    async revoked(scope, notBefore) {
      return [...revocations.keys()]
        .flatMap((serialNumber) => find(serialNumber) ?? [])
        .filter(({ certificate }) => certificate.scope === scope)
        .filter(({ certificate }) => Date.parse(certificate.notAfter) >= notBefore.getTime())
    },
    current({ printed = false } = {}) {
      const newest = ofFiles()
      const isCurrent = (one: CertificateRecord): boolean =>
        one.certPath === null ? printed : isNewest(one, newest)
      return pages([...certificates.values()].filter(isCurrent))
    },
    all: () => pages([...certificates.values()]),
  }
}
