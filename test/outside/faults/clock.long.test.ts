import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ensureAuthority } from '../../../src/authority/create.ts'
import type { Finished } from '../../helpers/subprocess.ts'
import { violations } from '../crash/invariants.ts'
import { openWorld, type World } from './world.ts'

const library = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1'
const missing = existsSync(library) ? null : 'libfaketime is not installed'

/** A new authority's world, and its command with the clock set off by so many days. */
async function openClock(): Promise<{
  readonly world: World
  readonly at: (days: number, ...args: string[]) => Promise<Finished>
}> {
  const world = await openWorld()
  await ensureAuthority({ path: world.state, owner: null }, new Date())
  const at = (days: number, ...args: string[]): Promise<Finished> => {
    const env = { FAKETIME: `${days < 0 ? '' : '+'}${days}d`, LD_PRELOAD: library }
    return world.rootling(args, { env })
  }
  return { world, at }
}

const leafIn = ({ out }: World): X509Certificate =>
  new X509Certificate(readFileSync(join(out, 'localhost.pem')))

const note = missing === null ? '' : `: ${missing}`

test.skipIf(missing !== null)(
  `a clock set back before the authority’s first day is named, and harms nothing${note}`,
  async () => {
    const { world, at } = await openClock()
    const issued = ['issue', 'localhost', '--out-dir', world.out]
    expect(await at(0, ...issued)).toMatchObject({ exitCode: 0 })
    const before = leafIn(world).serialNumber
    for (const command of [issued, ['renew', '--all'], ['crl']]) {
      const { exitCode, stdout, stderr } = await at(-365, ...command)
      expect(exitCode).toBe(1)
      expect(stdout + stderr).toContain('The scope local begins on ')
      expect(stdout + stderr).toContain('Set the clock of this machine')
    }
    const { stdout, stderr } = await at(-365, 'status', '--stores', 'nss')
    expect(stdout + stderr).toContain('The scope local begins on ')
    expect(leafIn(world).serialNumber).toBe(before)
    expect(await at(-1, 'list')).toMatchObject({ exitCode: 0 })
    expect(await at(0, ...issued)).toMatchObject({ exitCode: 0 })
    expect(await violations(world.state, world.out)).toEqual([])
  },
)

test.skipIf(missing !== null)(
  `what was renewed while the clock was a year ahead is renewed again${note}`,
  async () => {
    const { world, at } = await openClock()
    expect(await at(0, 'issue', 'localhost', '--out-dir', world.out)).toMatchObject({ exitCode: 0 })
    expect(await at(0, 'renew', '--due')).toMatchObject({ exitCode: 0 })
    const first = leafIn(world).serialNumber
    expect(await at(365, 'renew', '--due')).toMatchObject({ exitCode: 0 })
    const ahead = leafIn(world)
    expect(ahead.serialNumber).not.toBe(first)
    expect(new Date(ahead.validFrom) > new Date()).toBe(true)

    expect((await at(0, 'list')).stdout).toContain('due for renewal')
    expect(await at(0, 'renew', '--due')).toMatchObject({ exitCode: 0 })
    expect(new Date(leafIn(world).validFrom) < new Date()).toBe(true)
    expect((await at(0, 'list')).stdout).not.toContain('due for renewal')
    expect(await violations(world.state, world.out)).toEqual([])
  },
)

test.skipIf(missing !== null)(
  `a day forth and back changes nothing that is kept${note}`,
  async () => {
    const { world, at } = await openClock()
    expect(await at(1, 'issue', 'localhost', '--out-dir', world.out)).toMatchObject({ exitCode: 0 })
    expect((await at(-1, 'list')).stdout).toContain('due for renewal')
    expect((await at(1, 'list')).stdout).toContain('days left')
    expect(await at(20 * 365, 'issue', 'localhost', '--out-dir', world.out)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('ca rotate local'),
    })
    expect(await violations(world.state, world.out)).toEqual([])
  },
)

test.skipIf(missing !== null)(
  `numbers of revocation lists rise whatever the clock does${note}`,
  async () => {
    const { world, at } = await openClock()
    const numbers: number[] = []
    for (const days of [0, 365, 0, 1, 0, 700, 1]) {
      expect(await at(days, 'crl', '--out', join(world.out, 'local.crl'))).toMatchObject({
        exitCode: 0,
      })
      numbers.push(Number(readFileSync(join(world.state, 'scopes/local/crl-number'), 'utf8')))
    }
    expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b))
  },
)
