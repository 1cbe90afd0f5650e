import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { withAnchorFile, withDirectory } from '../anchor-file.ts'
import { expectSuccess } from '../command.ts'
import type { Machine } from '../machine.ts'
import { certificatesIn } from '../pem.ts'
import type { TrustAnchor, TrustStore } from '../trust-store.ts'

/**
 * The system store of a distribution that has no row in families.ts, through p11-kit's `trust`.
 * This store keeps no names, so `list` finds nothing; `has` and `uninstall` compare the
 * certificate.
 */
export function createP11KitStore(machine: Machine, trust: string): TrustStore {
  async function change(verb: '--store' | '--remove', anchor: TrustAnchor) {
    await withAnchorFile(machine, anchor, async (file) => {
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
      withDirectory(machine, async (directory) => {
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
