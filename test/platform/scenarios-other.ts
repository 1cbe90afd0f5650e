import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { findSystemStore } from '../../platform/linux/anchors.ts'
import { createP11KitStore } from '../../platform/linux/p11-kit.ts'
import { lifecycle } from './lifecycle-steps.ts'
import { makeMachine, parentOf, sh, succeeds } from './world.ts'

/** Debian, on its private copy, made to look like other systems. */
export const otherSystems: Readonly<Record<string, () => Promise<void>>> = {
  // Debian's p11-kit has no place for anchors and no script for the bundles; this machine gets both.
  'a system outside the table, through p11-kit': async () => {
    const anchors = mkdtempSync(path.join(tmpdir(), 'anchors-'))
    const bundle = path.join(mkdtempSync(path.join(tmpdir(), 'bundle-')), 'roots.pem')
    const module = parentOf('/etc/pkcs11/modules/p11-kit-trust.module')
    const paths = `module: p11-kit-trust.so\ntrust-policy: yes\nx-init-reserved: paths='${anchors}'\n`
    writeFileSync(module, paths)
    const programs = '/usr/libexec'
    sh('mount', ['-t', 'tmpfs', 'tmpfs', programs])
    const script = parentOf(path.join(programs, 'p11-kit/trust-extract-compat'))
    const filters = '--filter=ca-anchors --purpose=server-auth --overwrite'
    writeFileSync(script, `#!/bin/sh\ntrust extract --format=pem-bundle ${filters} ${bundle}\n`)
    chmodSync(script, 0o755)
    try {
      await lifecycle({
        store: async () => createP11KitStore((await makeMachine()).machine, '/usr/bin/trust'),
        trees: [anchors],
        lists: false,
        proof: (leaf) => {
          const file = existsSync(bundle) && readFileSync(bundle, 'utf8') !== ''
          return file && succeeds('openssl', ['verify', '-no-CApath', '-CAfile', bundle, leaf])
        },
      })
    } finally {
      sh('umount', [programs])
      rmSync(module)
    }
  },

  'NixOS, answered with the line of its configuration': async () => {
    writeFileSync('/etc/NIXOS', '')
    try {
      const store = await findSystemStore((await makeMachine()).machine)
      assert.deepEqual(await store.availability(), {
        available: false,
        code: 'unsupported',
        reason: 'NixOS builds its system store from its configuration.',
        hint: 'Put the root into a file, add security.pki.certificateFiles = [ ./FILE ]; and rebuild',
        removalHint: 'Take the file of the root out of security.pki.certificateFiles, and rebuild',
      })
    } finally {
      rmSync('/etc/NIXOS')
    }
  },

  'a read-only system': async () => {
    const directory = '/usr/local/share/ca-certificates'
    mkdirSync(directory, { recursive: true })
    sh('mount', ['-t', 'tmpfs', '-o', 'ro', 'tmpfs', directory])
    try {
      const store = await findSystemStore((await makeMachine()).machine)
      assert.deepEqual(await store.availability(), {
        available: false,
        code: 'unsupported',
        reason: `${directory} is on a read-only file system.`,
        hint: `Put the root into ${directory} of the image that the system is built from, and run update-ca-certificates there; or start programs without it: rootling run COMMAND`,
        removalHint: `Take the root out of ${directory} of the image that the system is built from, and run update-ca-certificates --fresh there`,
      })
    } finally {
      sh('umount', [directory])
    }
  },
}
