import { readlinkSync } from 'node:fs'
import path from 'node:path'
import { RootlingError } from '../../src/errors.ts'
import { displayCommand } from '../display-command.ts'
import { exists, namesIn, readLatin1 as readText } from '../file-status.ts'
import type { Machine } from '../machine.ts'
import { missingTool } from '../packages.ts'
import { isReadOnly } from '../read-only.ts'
import { certificatesIn, createAnchor, distinctAnchors, holdsCertificate } from '../pem.ts'
import {
  allFormsOf,
  anchorPrefix,
  unsupported,
  type HeldRoot,
  type TrustAnchor,
  type TrustStore,
  type Unavailable,
} from '../trust-store.ts'
import { directoryLessFamily, linuxFamilies, type LinuxFamily } from './families.ts'
import { createP11KitStore } from './p11-kit.ts'
import { findRefresh, notifyHooks, refreshUntil } from './refresh.ts'

/**
 * Returns the system store of this machine, described by the first row of `linuxFamilies` that fits: its
 * directory is there, and so is the program that makes the system read it. A directory alone may be of a
 * package that was made for another distribution.
 */
export async function findSystemStore(machine: Machine): Promise<TrustStore> {
  if (await exists('/etc/NIXOS')) return createUnwritableStore(nixOs)
  const present = await allThat(linuxFamilies, ({ directory }) => exists(directory))
  for (const family of present)
    if ((await findRefresh(machine, family)) !== null) return openFamily(machine, family)
  const debianLike = linuxFamilies.find((family) => family.name === directoryLessFamily)
  if (debianLike && (await machine.find('update-ca-certificates', { forRoot: true })) !== null) {
    return openFamily(machine, debianLike)
  }
  const [incomplete] = present
  if (incomplete !== undefined) return openFamily(machine, incomplete)
  const trust = await machine.find('trust', { forRoot: true })
  if (trust !== null) return createP11KitStore(machine, trust)
  return createUnwritableStore(
    await missingTool(
      machine,
      'update-ca-certificates',
      'This system keeps no roots in a place that Rootling knows.',
    ),
  )
}

async function openFamily(machine: Machine, family: LinuxFamily): Promise<TrustStore> {
  const { takesCopies } = family
  const tried = takesCopies !== undefined && (await isRelease(takesCopies))
  return { ...createSystemStore(machine, family), takesCopies: tried }
}

/** Whether /etc/os-release names one of these releases. */
async function isRelease({
  id,
  versions,
}: NonNullable<LinuxFamily['takesCopies']>): Promise<boolean> {
  const text = (await readText('/etc/os-release')) ?? ''
  const valueOf = (name: string): string | undefined =>
    new RegExp(`^${name}=(["']?)(.*)\\1$`, 'm').exec(text)?.[2]
  return valueOf('ID') === id && versions.includes(valueOf('VERSION_ID') ?? '')
}

const nixOs = unsupported(
  'NixOS builds its system store from its configuration.',
  'Put the root into a file, add security.pki.certificateFiles = [ ./FILE ]; and rebuild',
  'Take the file of the root out of security.pki.certificateFiles, and rebuild',
)

/**
 * The system store of a Linux family: a directory with one PEM file for each root, and a command
 * that makes the system read the directory.
 */
export function createSystemStore(machine: Machine, family: LinuxFamily): TrustStore {
  const fileOf = (anchor: TrustAnchor) =>
    path.join(family.directory, anchor.name + family.extension)

  /**
   * Returns the files in which mkcert put this root, if the root was adopted from mkcert: it would
   * stay trusted through them.
   */
  async function mkcertFilesOf(anchor: TrustAnchor): Promise<string[]> {
    const files: string[] = []
    for (const name of await namesIn(family.directory)) {
      if (!/^mkcert_development_CA_\d+\.(?:crt|pem)$/.test(name)) continue
      const file = path.join(family.directory, name)
      const found = certificatesIn((await readText(file)) ?? '')
      if (found.length === 1 && found[0]?.equals(anchor.der) === true) files.push(file)
    }
    return files
  }

  /**
   * Returns the links in OpenSSL's directory that lead, or once led, to the file of this anchor.
   */
  async function linksTo(anchor: TrustAnchor): Promise<string[]> {
    if (family.hashLinks === null) return []
    const links: string[] = []
    for (const name of await namesIn(family.hashLinks)) {
      const target = targetOf(path.join(family.hashLinks, name))
      if (target === fileOf(anchor) || target === `${anchor.name}.pem`) links.push(name)
    }
    return links
  }

  /** Whether programs that look a root up by its hash find this root. */
  async function isHashed(anchor: TrustAnchor): Promise<boolean> {
    if (family.hashLinks === null) return false
    const names = (await namesIn(family.hashLinks)).filter((name) =>
      /^[0-9a-f]{8}\.\d+$/.test(name),
    )
    const links = names.map((name) => path.join(family.hashLinks ?? '', name))
    // The links that name the anchor are read first, since mostly one of them is it.
    const isNamed = (link: string): boolean => targetOf(link)?.includes(anchor.name) === true
    for (const link of new Set([...links.filter(isNamed), ...links]))
      if (await isInFile(anchor, link)) return true
    return false
  }

  async function isBundled(anchor: TrustAnchor): Promise<boolean> {
    return family.bundle !== null && isInFile(anchor, family.bundle)
  }

  /** Whether the programs that read the bundle trust the root. */
  const inBundle = (anchor: TrustAnchor) => isAll(heldFor(anchor), isBundled)
  /** Whether the programs that look a root up by its hash trust the root. */
  const byHash = (anchor: TrustAnchor) => isAll(heldFor(anchor), isHashed)

  /** Whether some programs do not trust the root. */
  const isLacking = async (anchor: TrustAnchor): Promise<boolean> =>
    (family.bundle !== null && !(await inBundle(anchor))) ||
    (family.hashLinks !== null && !(await byHash(anchor)))

  async function install(anchors: readonly TrustAnchor[]): Promise<void> {
    const lacking = await allThat(anchors, isLacking)
    if (lacking.length === 0) return
    for (const each of lacking.flatMap(heldFor))
      await machine.writeFile(fileOf(each), each.pem, 'root')
    const isDone = async (): Promise<boolean> => (await allThat(lacking, isLacking)).length === 0
    await refreshUntil(machine, family, family.refresh, isDone)
  }

  async function uninstall(anchors: readonly TrustAnchor[]): Promise<void> {
    const forms = anchors.flatMap(allFormsOf)
    const files = forms.map(fileOf)
    for (const anchor of anchors) files.push(...(await mkcertFilesOf(anchor)))
    const present = await allThat(files, exists)
    const leaves = async (form: TrustAnchor): Promise<boolean> =>
      (await linksTo(form)).length > 0 || (await isBundled(form)) || isHashed(form)
    const traces = await allThat(forms, leaves)
    if (present.length === 0 && traces.length === 0) return
    for (const file of files) await machine.removeFile(file, 'root')
    const isDone = async (): Promise<boolean> => (await allThat(forms, leaves)).length === 0
    try {
      // The store comes first: a hook may hang, and Java's keystore is checked as a store of its own.
      await refreshUntil(machine, family, family.refreshAfterRemoval ?? family.refresh, isDone)
    } finally {
      const names = files.map((file) => path.basename(file, family.extension))
      await notifyHooks(machine, family, names)
    }
  }

  const store: TrustStore = {
    id: `system:${family.directory}`,
    kind: 'system',
    title: `System store (${family.directory})`,

    async availability() {
      const [tool] = family.refresh
      if ((await findRefresh(machine, family)) === null) {
        if (tool === 'certctl') return unsupported('certctl is not on this machine.')
        return missingTool(machine, tool, `${tool}, which writes the system store, is not there.`)
      }
      const written = [family.directory, family.bundle && path.dirname(family.bundle)]
      const readOnly = written.find((each) => each !== null && isReadOnly(each))
      return readOnly != null
        ? unsupported(
            `${readOnly} is on a read-only file system.`,
            `Put the root into ${family.directory} of the image that the system is built from, ` +
              `and run ${family.refresh.join(' ')} there; or start programs without it: rootling run COMMAND`,
            `Take the root out of ${family.directory} of the image that the system is built from, ` +
              `and run ${(family.refreshAfterRemoval ?? family.refresh).join(' ')} there`,
          )
        : { available: true }
    },

    async list() {
      const anchors: TrustAnchor[] = []
      for (const name of await namesIn(family.directory)) {
        if (!name.startsWith(anchorPrefix) || !name.endsWith(family.extension)) continue
        const text = (await readText(path.join(family.directory, name))) ?? ''
        anchors.push(...certificatesIn(text).map(createAnchor))
      }
      return distinctAnchors(anchors)
    },

    async heldRoots() {
      const roots: HeldRoot[] = []
      for (const name of await namesIn(family.directory)) {
        if (!name.endsWith(family.extension)) continue
        const file = path.join(family.directory, name)
        const refresh = family.refreshAfterRemoval ?? family.refresh
        const removal = `${displayCommand(['sudo', 'rm', file])} && ${displayCommand(['sudo', ...refresh])}`
        const found = certificatesIn((await readText(file)) ?? '')
        roots.push(...found.map((der) => ({ der, removal })))
      }
      return roots
    },

    has: async (anchor) => (await inBundle(anchor)) || byHash(anchor),

    trustsFully: async (anchor) => !(await isLacking(anchor)),

    install: (anchor) => install([anchor]),
    uninstall: (anchor) => uninstall([anchor]),
    together: { install, uninstall },
  }
  return store
}

/** Returns where a link leads; `null`: it is none. */
function targetOf(link: string): string | null {
  try {
    return readlinkSync(link)
  } catch {
    return null
  }
}

/** Returns what the store holds for an anchor: of a hardened root, its copies. */
const heldFor = (anchor: TrustAnchor): readonly TrustAnchor[] => anchor.copies ?? [anchor]

async function allThat<T>(items: readonly T[], check: (item: T) => Promise<boolean>): Promise<T[]> {
  const found: T[] = []
  for (const item of items) if (await check(item)) found.push(item)
  return found
}

async function isAll(
  anchors: readonly TrustAnchor[],
  check: (anchor: TrustAnchor) => Promise<boolean>,
): Promise<boolean> {
  for (const anchor of anchors) if (!(await check(anchor))) return false
  return true
}

/** The bundles that programs read on systems whose store Rootling does not write. */
const wellKnownBundles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
]

function createUnwritableStore(unavailable: Unavailable): TrustStore {
  return {
    id: 'system:none',
    kind: 'system',
    title: 'System store',
    availability: async () => unavailable,
    list: async () => [],
    async has(anchor) {
      for (const bundle of wellKnownBundles)
        if (await isAll(heldFor(anchor), (each) => isInFile(each, bundle))) return true
      return false
    },
    async install() {
      throw new RootlingError('store-failed', unavailable.reason, { hint: unavailable.hint })
    },
    async uninstall() {},
  }
}

async function isInFile({ der }: TrustAnchor, file: string): Promise<boolean> {
  const text = await readText(file)
  return text !== null && holdsCertificate(text, der)
}
