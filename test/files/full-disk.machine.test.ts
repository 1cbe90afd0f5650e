import { cp, rm } from 'node:fs/promises'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { namespaceUnavailable } from '../helpers/namespace.ts'
import {
  bundleChild,
  runChild,
  settle,
  workplace,
  type Bundle,
} from '../outside/crash/processes.ts'
import { violations } from '../outside/crash/invariants.ts'
import { runTool } from '../helpers/tools.ts'

const why = namespaceUnavailable()
const skipped = why === null ? '' : ` (skipped: ${why})`
let bundle: Bundle

beforeAll(async () => {
  bundle = await bundleChild()
})
afterAll(() => bundle.remove())

/** An authority with one pair, at `state` and `out` of a directory that mounts may cover. */
async function prepared() {
  const place = await workplace()
  onTestFinished(() => rm(place.root, { recursive: true, force: true }))
  const args = ['--state', place.state, '--out', place.out]
  await runChild(bundle, ['issue', 'localhost', ...args])
  return { ...place, args }
}

/** Runs a script in a private mount namespace; $1 is the directory, $2 node, $3 the child. */
function privately(root: string, script: string, ...more: string[]) {
  const options = ['--mount', '--propagation', 'private', 'sh', '-eu', '-c', script, 'sh']
  return runTool('unshare', [...options, root, process.execPath, bundle.path, ...more])
}

const onFullDisk = `
root=$1; node=$2; child=$3
mkdir "$root/disk"
mount -t tmpfs -o size=$4k,mode=0700 tmpfs "$root/disk"
cp -a "$root/state" "$root/out" "$root/disk"
i=0
while [ $i -lt 400 ]; do
  i=$((i + 1))
  "$node" "$child" issue localhost --count 200 --state "$root/disk/state" --out "$root/disk/out" \
    || break
done 2> "$root/said"
dd if=/dev/zero of="$root/disk/filler" bs=1 count=1 2>/dev/null || true
rm -f "$root/disk/filler"
cp -a "$root/disk" "$root/after"
cat "$root/said"
`

test.skipIf(why !== null).each([56, 60, 64, 88])(
  `a disk of %i KiB that fills up is named, and every pair and line stays whole${skipped}`,
  async (size) => {
    const { root } = await prepared()
    const { exitCode, stdout, stderr } = await privately(root, onFullDisk, String(size))
    expect(`${exitCode} ${stderr}`).toBe('0 ')
    expect(stdout).toContain('state-unwritable')
    expect(stdout).toContain('the disk is full')
    await cp(`${root}/after`, `${root}/copy`, { recursive: true })
    await settle(`${root}/copy/state`)
    expect(await violations(`${root}/copy/state`, `${root}/copy/out`)).toEqual([])
  },
)

const onReadOnly = `
root=$1; node=$2; child=$3; shift 3
mount --bind "$root" "$root"
mount -o remount,ro,bind "$root"
exec "$node" "$child" "$@"
`

test.skipIf(why !== null)(`a read-only disk is named, and nothing is lost${skipped}`, async () => {
  const { root, state, out, args } = await prepared()
  for (const command of ['issue', 'permit']) {
    const name = command === 'issue' ? 'localhost' : 'dev.example.com'
    const { exitCode, stderr } = await privately(root, onReadOnly, command, name, ...args)
    expect(exitCode).toBe(1)
    expect(stderr).toContain('state-unwritable')
    expect(stderr).toContain('the file system is read-only')
  }
  expect(await violations(state, out)).toEqual([])
  await runChild(bundle, ['issue', 'localhost', ...args])
})

test.skipIf(why !== null)(
  `an authority that cannot be written is named as such${skipped}`,
  async () => {
    const { root } = await workplace()
    onTestFinished(() => rm(root, { recursive: true, force: true }))
    const args = ['create', '--state', `${root}/new/state`]
    const { stderr } = await privately(root, onReadOnly, ...args)
    expect(stderr).toContain('state-unwritable')
    expect(stderr).toContain('the file system is read-only')
  },
)
