import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { stateDirectory } from '../../src/home/state-directory.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

test.skipIf(process.platform !== 'linux')(
  'a relative XDG_DATA_HOME does not count, and stays as it is',
  async () => {
    vi.stubEnv('XDG_DATA_HOME', 'share')
    const home = await temporaryDirectory()
    const { path } = await stateDirectory({ HOME: home, XDG_DATA_HOME: 'share' })
    expect(path).toBe(join(home, '.local/share/rootling'))
    expect(process.env['XDG_DATA_HOME']).toBe('share')
    vi.unstubAllEnvs()
  },
)
