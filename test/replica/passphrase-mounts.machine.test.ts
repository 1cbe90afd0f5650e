import { expect, test } from 'vitest'
import { command } from '../helpers/built.ts'
import { openHome } from '../helpers/home.ts'
import { namespaceUnavailable } from '../helpers/namespace.ts'

// How Kubernetes and Docker mount a secret into a container, for a server that is not root there.
const why = namespaceUnavailable()
const skipped = why === null ? '' : ` (skipped: ${why})`

const read = 'No database was named.'
const refused = 'Others can read the secret'

/** Runs a script that mounts, then the command as a user with the group 5678; returns its complaint. */
async function init(mount: string, file: string): Promise<string> {
  const home = openHome()
  const { stderr } = await home.run('unshare', [
    ...['--mount', '--propagation', 'private', 'sh', '-euc'],
    `node=$1; rootling=$2
    mkdir secrets
    ${mount}
    mkdir own
    chown 1234 own
    chmod 755 .
    export ROOTLING_HOME="$PWD/own" HOME="$PWD/own"
    exec setpriv --reuid=1234 --regid=1234 --groups=5678 "$node" "$rootling" server init \
      --permit team.internal --passphrase-file "$PWD/${file}"`,
    ...['sh', process.execPath, command],
  ])
  return stderr
}

const tmpfs = (mode: string, group = '0') => `
  mount -t tmpfs -o mode=1777 tmpfs secrets
  mkdir secrets/..2026
  echo correct horse battery > secrets/..2026/passphrase
  chgrp ${group} secrets/..2026/passphrase
  chmod ${mode} secrets/..2026/passphrase
  ln -s ..2026 secrets/..data
  ln -s ..data/passphrase secrets/passphrase`
const readOnly = 'mount -o remount,ro,bind secrets'

test.skipIf(why !== null)(
  `a secret that a container's runtime mounted is read, in the ways of Kubernetes and Docker${skipped}`,
  { timeout: 300_000 },
  async () => {
    // defaultMode: 0400 with fsGroup, for which the kubelet adds the group's right.
    expect(await init(tmpfs('0440', '5678'), 'secrets/passphrase')).toContain(read)
    // The mode that Kubernetes and Docker give by themselves.
    expect(await init(`${tmpfs('0644')}\n${readOnly}`, 'secrets/passphrase')).toContain(read)
    const docker = `${tmpfs('0444')}
      : > one
      mount --bind secrets/..2026/passphrase one
      mount -o remount,ro,bind one`
    expect(await init(docker, 'one')).toContain(read)
  },
)

test.skipIf(why !== null)(
  `a secret that others of the machine can read, write or lead elsewhere is refused${skipped}`,
  { timeout: 300_000 },
  async () => {
    // A file system that can be written to, as /run of a host is.
    const writable = await init(tmpfs('0644'), 'secrets/passphrase')
    expect(writable).toContain(refused)
    expect(writable).toContain('defaultMode: 0400')
    // A file of the host's disk, though it is mounted read-only.
    const bound = `echo correct horse battery > secrets/passphrase
      chmod 0644 secrets/passphrase
      mount --bind secrets secrets
      ${readOnly}`
    expect(await init(bound, 'secrets/passphrase')).toContain(refused)
    const writers = `${tmpfs('0666')}\n${readOnly}`
    expect(await init(writers, 'secrets/passphrase')).toContain(refused)
    const foreign = `${tmpfs('0644')}\nchown -h 4321 secrets/passphrase\n${readOnly}`
    expect(await init(foreign, 'secrets/passphrase')).toContain('a symbolic link of another user')
  },
)
