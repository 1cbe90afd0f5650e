import { chown, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expectSuccess } from './command.ts'
import type { Machine } from './machine.ts'
import { certificatesIn } from './pem.ts'
import type { TrustAnchor, TrustStore } from './trust-store.ts'

/**
 * The system store of a distribution outside the table, through p11-kit's `trust`. It keeps no
 * names, so `list` finds nothing: ours are found by their certificates only.
 */
export function createP11KitStore(machine: Machine, trust: string): TrustStore {
  async function withDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
    const directory = await mkdtemp(path.join(tmpdir(), 'rootling-'))
    // Queries run as the person, and this directory would be root's.
    if (machine.person.viaSudo) await chown(directory, machine.person.uid, machine.person.gid)
    try {
      return await work(directory)
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  }

  async function change(verb: '--store' | '--remove', anchor: TrustAnchor) {
    await withDirectory(async (directory) => {
      const file = path.join(directory, `${anchor.name}.pem`)
      await writeFile(file, anchor.pem)
      const result = await machine.change(trust, ['anchor', verb, file], { as: 'root' })
      expectSuccess('trust', result)
    })
  }

  const store: TrustStore = {
    id: 'system:p11-kit',
    kind: 'system',
    title: 'System store (p11-kit)',
    availability: async () => ({ available: true }),
    list: async () => [],

    has: (anchor) =>
      withDirectory(async (directory) => {
        const file = path.join(directory, 'roots.pem')
        const filters = ['--filter=ca-anchors', '--purpose=server-auth', '--overwrite']
        const args = ['extract', '--format=pem-bundle', ...filters, file]
        expectSuccess('trust', await machine.query(trust, args))
        return certificatesIn(await readFile(file, 'utf8')).some((der) => der.equals(anchor.der))
      }),

    async install(anchor) {
      if (!(await store.has(anchor))) await change('--store', anchor)
    },

    async uninstall(anchor) {
      if (await store.has(anchor)) await change('--remove', anchor)
    },
  }
  return store
}
