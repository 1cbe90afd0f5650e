import { join } from 'node:path'
import { namespaceUnavailable, openNamespace } from '../../test/helpers/namespace.ts'
import { scrubbedEnvironment } from '../../test/helpers/scrubbed.ts'
import type { Benchmark } from './benchmark.ts'
import { measureProcesses, timeout, type Command } from './processes.ts'
import { rootling } from './world.ts'

const project = {
  version: 1,
  certificates: [
    { names: ['localhost', '127.0.0.1', '::1'], cert: '.certs/a.pem', key: '.certs/a-key.pem' },
    { names: ['shop.test', '*.dev.shop.test'], cert: '.certs/b.pem', key: '.certs/b-key.pem' },
  ],
  permit: ['dev.example.com'],
  hosts: { 'shop.test': '127.0.0.1' },
  env: { file: '.env.rootling' },
}

/** Measures the wall time of an `up` that finds everything as the file says, with all stores. */
export const up: Benchmark = {
  name: 'up',
  async run({ quick }) {
    const unavailable = namespaceUnavailable()
    if (unavailable !== null) {
      process.stderr.write(`up: skipped, ${unavailable}\n`)
      return []
    }
    const inside = await openNamespace()
    try {
      const cwd = join(inside.home, 'project')
      await inside.must('git', ['init', '--quiet', cwd], { timeout })
      await inside.writeFile(join(cwd, 'rootling.json'), JSON.stringify(project))
      const env = scrubbedEnvironment(inside.home, { ROOTLING_HOME: join(inside.home, 'state') })
      const line = [...rootling, 'up', '--yes', '--allow', 'permit']
      // The directory exists only inside.
      const command = (argv: readonly string[]): Command => ({
        argv: ['env', `--chdir=${cwd}`, ...argv],
        cwd: '/',
        env,
      })
      const [program = '', ...args] = command(line).argv
      await inside.must(program, args, { env, timeout })
      const cost = await measureProcesses(
        { again: command(line), node: command([process.execPath, '-e', '0']) },
        quick ? 3 : 20,
        (name, words, input) => inside.run(name, words, { input, timeout }),
      )
      return [
        {
          name: 'second up, over node -e 0',
          unit: 'ms',
          ours: cost.again.wall - cost.node.wall,
          peer: null,
          bar: { at: 'most', value: 150 },
        },
      ]
    } finally {
      await inside.close()
    }
  },
}
