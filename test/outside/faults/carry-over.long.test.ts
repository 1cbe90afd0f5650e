import { rmSync, readFileSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ensureAuthority } from '../../../src/authority/create.ts'
import { tally } from '../../helpers/long.ts'
import { pointsOf, runWith, untraceable } from './points.ts'
import { openWorld, rootlingLine, templateOf } from './world.ts'

describe.skipIf(untraceable() !== null)(
  `carrying a state directory over${untraceable() ?? ''}`,
  () => {
    test('leaves the old version or the new one when it is killed at any call, and goes on', async () => {
      const world = await openWorld()
      const path = join(world.state, 'version')
      const line = rootlingLine(['issue', 'localhost', '--out-dir', world.out])
      await ensureAuthority({ path: world.state, owner: null }, new Date())
      rmSync(path)
      const template = await templateOf(world)
      const points = await pointsOf(world, line)
      const own = points.filter((point) => point.line.includes(`${world.state}/.version.`))
      expect(new Set(own.map(({ call }) => call))).toEqual(
        new Set(['openat', 'write', 'fchmod', 'fsync', 'rename']),
      )
      let killed = 0
      for (const point of own) {
        await template.restore()
        const { reached } = await runWith(world, point, 'signal=KILL', line)
        killed += Number(reached)
        if (existsSync(path)) expect(readFileSync(path, 'utf8')).toMatch(/^[23]\n$/)
        expect(await world.rootling(['list'])).toMatchObject({ exitCode: 0 })
        expect(await world.rootling(line.slice(2))).toMatchObject({ exitCode: 0 })
        expect(readFileSync(path, 'utf8')).toBe('3\n')
        const { stdout } = await world.rootling(['list', '--json'])
        expect(JSON.parse(stdout)).toMatchObject({ certificates: [{ names: ['localhost'] }] })
      }
      tally('kills while a state directory was carried over', killed)
      expect(killed).toBe(own.length)
    })
  },
)
