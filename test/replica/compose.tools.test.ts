import { existsSync, readFileSync } from 'node:fs'
import { writeFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { serverInitSpec, serverRunSpec } from '../../src/cli/specs/team.ts'
import { readServerUrl } from '../../src/replica/replica.ts'
import { runTool } from '../helpers/tools.ts'

const folder = join(import.meta.dirname, '../../docs/server')
const library = '/usr/lib/python3/dist-packages/yaml'

interface Compose {
  readonly services: Readonly<
    Record<string, { command?: string[]; secrets?: string[]; networks: object; hostname?: string }>
  >
  readonly configs: Readonly<Record<string, { content: string }>>
}

async function readCompose(): Promise<Compose> {
  const { exitCode, stdout, stderr } = await runTool(
    'python3',
    ['-c', 'import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin)))'],
    readFileSync(join(folder, 'compose.yaml'), 'utf8'),
  )
  expect(exitCode, stderr).toBe(0)
  return JSON.parse(stdout) as Compose
}

test.skipIf(!existsSync(library))(
  'the Compose file gives commands and options that exist',
  async () => {
    const { services } = await readCompose()
    const commands = Object.values(services).flatMap(({ command }) => command ?? [])
    expect(commands).toHaveLength(3 * 7 + 5)
    for (const { command = [] } of Object.values(services)) {
      const [, name, ...options] = command
      const spec = name === 'init' ? serverInitSpec : serverRunSpec
      for (const option of options) {
        const [, word = ''] = /^--([\w-]+)=/.exec(option) ?? []
        expect(Object.keys(spec.options), option).toContain(word)
      }
    }
    const replicas = ['a', 'b', 'c'].map((name) => services[name])
    expect(replicas.map((one) => one?.hostname)).toEqual(['a', 'b', 'c'])
    const urls = replicas.map((one) => one?.command?.find((word) => word.startsWith('--url=')))
    for (const url of urls)
      expect(readServerUrl(url?.slice(6) ?? '').hostname).toBe('ca.team.internal')
    // The balancer whose PROXY header is read has this address.
    expect(services['haproxy']?.networks).toEqual({ front: { ipv4_address: '10.77.0.2' } })
  },
)

test.skipIf(!existsSync(library) || !existsSync('/usr/sbin/haproxy'))(
  'HAProxy takes the configuration in the Compose file',
  async () => {
    const { configs } = await readCompose()
    const directory = await mkdtemp(join(tmpdir(), 'rootling-compose-'))
    onTestFinished(() => rm(directory, { recursive: true, force: true }))
    const file = join(directory, 'haproxy.cfg')
    await writeFile(file, configs['haproxy']?.content ?? '')
    const { exitCode, stderr } = await runTool('/usr/sbin/haproxy', ['-c', '-f', file])
    expect(exitCode, stderr).toBe(0)
  },
)
