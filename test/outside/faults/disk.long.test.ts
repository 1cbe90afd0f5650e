import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ensureBuilt } from '../../helpers/built.ts'
import { namespaceUnavailable, openNamespace, type Namespace } from '../../helpers/namespace.ts'
import type { Finished } from '../../helpers/subprocess.ts'
import { long } from '../../helpers/long.ts'
import { mkcertLine, rootlingLine, unfriendly, worldIn, type World } from './world.ts'

const closed = namespaceUnavailable()
const note = closed === null ? '' : `: ${closed}`

interface Disk {
  readonly world: World
  readonly run: (line: readonly string[], before?: readonly string[]) => Promise<Finished>
  readonly shell: (script: string) => Promise<string>
}

/** A world in a namespace, where disks can be mounted that nobody else sees. */
async function openDisk(): Promise<Disk> {
  ensureBuilt()
  const root = mkdtempSync(join(tmpdir(), 'rootling-disk-'))
  for (const name of ['state', 'out', 'home']) mkdirSync(join(root, name), { mode: 0o700 })
  const namespace: Namespace = await openNamespace()
  onTestFinished(async () => {
    await namespace.close()
    rmSync(root, { recursive: true, force: true })
  })
  const world = worldIn(root)
  return {
    world,
    run: (line, before = []) => {
      const [program = '', ...args] = [...before, ...line]
      return namespace.run(program, args, { env: world.env })
    },
    shell: async (script) => (await namespace.must('sh', ['-c', script])).stdout,
  }
}

const issueLine = ({ out }: World): string[] =>
  rootlingLine(['issue', 'localhost', '--out-dir', out])

/** The pair there is one, and no key lies about; in words about what is not. */
const pairScript = ({ out }: World): string => `
set -e
cd ${out}
[ -e localhost.pem ] || { ls -A; exit 0; }
openssl x509 -in localhost.pem -noout -pubkey > "$TMPDIR/one"
openssl pkey -in localhost-key.pem -pubout > "$TMPDIR/two"
cmp "$TMPDIR/one" "$TMPDIR/two"
ls -A`

test.skipIf(closed !== null).each(['state', 'out'] as const)(
  `a disk that fills up under the %s directory leaves a pair and a record that are whole${note}`,
  async (which) => {
    const { world, run, shell } = await openDisk()
    await shell(`mount -t tmpfs -o size=96k,mode=0700 tmpfs ${world[which]}`)
    expect(await run(mkcertLine(world))).toMatchObject({ exitCode: 0 })
    expect(await run(issueLine(world))).toMatchObject({ exitCode: 0 })
    const refusals: string[] = []
    // Wherever in a command the space ends.
    for (const pages of long ? Array.from({ length: 12 }, (_, i) => i) : [0, 1, 3, 6]) {
      await shell(`dd if=/dev/zero of=${world[which]}/ballast bs=4k 2>/dev/null || true`)
      await shell(`truncate -s -${pages * 4}K ${world[which]}/ballast`)
      const finished = await run(issueLine(world))
      if (finished.exitCode !== 0) {
        expect(unfriendly(finished)).toEqual([])
        refusals.push(finished.stderr)
      }
      expect(await shell(pairScript(world))).not.toContain('rootling-tmp')
      expect(await run(rootlingLine(['list', '--all']))).toMatchObject({ exitCode: 0 })
      await shell(`rm ${world[which]}/ballast`)
    }
    expect(refusals.length).toBeGreaterThan(0)
    expect(refusals.filter((text) => !text.includes('the disk is full'))).toEqual([])
    expect(await run(issueLine(world))).toMatchObject({ exitCode: 0 })
    expect(await shell(`ls -A ${world.state}/pending`)).toBe('')
  },
)

test.skipIf(closed !== null)(
  `a disk that becomes read-only is named, and what was kept can be read${note}`,
  async () => {
    const { world, run, shell } = await openDisk()
    await shell(`mount -t tmpfs -o size=4m,mode=0700 tmpfs ${world.state}`)
    expect(await run(mkcertLine(world))).toMatchObject({ exitCode: 0 })
    await shell(`mount -o remount,ro ${world.state}`)
    for (const line of [
      issueLine(world),
      rootlingLine(['renew', '--all']),
      rootlingLine(['crl']),
    ]) {
      const finished = await run(line)
      expect(unfriendly(finished)).toEqual([])
      expect(finished.stdout + finished.stderr).toContain('the file system is read-only')
    }
    expect(await run(rootlingLine(['list']))).toMatchObject({ exitCode: 0 })
    await shell(`mount -o remount,rw ${world.state}`)
    expect(await run(issueLine(world))).toMatchObject({ exitCode: 0 })
  },
)

test.skipIf(closed !== null)(
  `a directory that another user may not write to is named${note}`,
  async () => {
    const { world, run, shell } = await openDisk()
    const { root, state, out } = world
    const person = ['setpriv', '--reuid=4711', '--regid=4711', '--clear-groups']
    await shell(`chmod 755 ${root}; chown -R 4711:4711 ${state} ${out} ${root}/home`)
    const made = await run(mkcertLine(world), person)
    expect(made).toMatchObject({ exitCode: 0 })
    await shell(`chown root ${out}; chmod 755 ${out}`)
    for (const line of [issueLine(world), mkcertLine(world)]) {
      const finished = await run(line, person)
      expect(unfriendly(finished)).toEqual([])
      expect(finished.stderr).toContain('permission is denied')
    }
    await shell(`chown 4711 ${out}; chmod 500 ${state}/pending`)
    const elsewhere = rootlingLine(['issue', 'a.test', '--out-dir', out])
    const finished = await run(elsewhere, person)
    expect(unfriendly(finished)).toEqual([])
    await shell(`chmod 700 ${state}/pending`)
    expect(await run(elsewhere, person)).toMatchObject({ exitCode: 0 })
  },
)
