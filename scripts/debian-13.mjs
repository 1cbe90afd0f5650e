// `npm run test:debian13`: runs the end-to-end test in a Debian 13, with its OpenSSL, Node, Java, curl
// and browsers, as root of a Debian or Ubuntu. mmdebstrap makes the system below node_modules the first
// time, from Debian's mirror, which takes some minutes and 3 GiB.
//   npm run test:debian13 -- FILE…   runs these test files there
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './prepare.mjs'

const system = join(root, 'node_modules/.cache/debian-13')
const endToEnd = 'test/outside/e2e/main-job.machine.test.ts'
const packages = [
  'ca-certificates',
  'ca-certificates-java',
  'chromium',
  'curl',
  'default-jdk-headless',
  'firefox-esr',
  'git',
  'gnutls-bin',
  'golang-go',
  'iproute2',
  'libnss3-tools',
  'nodejs',
  'npm',
  'openssl',
  'p11-kit',
  'php-cli',
  'php-curl',
  'procps',
  'python3-requests',
  'ruby',
  'strace',
  'sudo',
  'wget',
]

if (process.getuid?.() !== 0) throw new Error('Run this as root: it makes and enters a system.')
if (!existsSync(system)) makeSystem()
const files = process.argv.slice(2)
const vitest = ['npx', 'vitest', 'run', ...(files.length > 0 ? files : [endToEnd])]
process.exitCode = runInside(vitest)

/** Makes the system; one that is not whole has another name. */
function makeSystem() {
  const parts = `${system}.${process.pid}`
  mkdirSync(parts, { recursive: true })
  const args = ['--variant=apt', `--include=${packages.join()}`, 'trixie', parts]
  const made = spawnSync('mmdebstrap', args, { stdio: 'inherit' })
  if (made.error) throw new Error('There is no mmdebstrap. To install it: apt install mmdebstrap')
  if (made.status === 0) renameSync(parts, system)
  else {
    rmSync(parts, { recursive: true, force: true })
    throw new Error('mmdebstrap could not make the system.')
  }
}

/**
 * Runs a command in the system, in namespaces of its own for mounts and processes: nothing that it mounts
 * or starts outlives it. The project is there at /project.
 */
function runInside(command) {
  const script = `set -eu
    system=$1 project=$2; shift 2
    mount --bind "$system" "$system"
    mkdir -p "$system/project"
    mount --bind "$project" "$system/project"
    mount -t proc proc "$system/proc"
    mount -t sysfs -o ro sysfs "$system/sys"
    mount --rbind /dev "$system/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$system/tmp"
    mount -t tmpfs -o mode=0755 tmpfs "$system/run"
    mkdir -p "$system/.old"
    cd "$system"
    pivot_root . .old
    umount -l /.old
    cd /project
    # Not by exec: the first process of a namespace has to wait for those that lost their parent.
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"`
  const namespaces = ['--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child']
  const args = [...namespaces, 'sh', '-c', script, 'sh', system, root, ...command]
  return spawnSync('unshare', args, { stdio: 'inherit' }).status ?? 1
}
