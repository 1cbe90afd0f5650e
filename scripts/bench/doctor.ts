import { join } from 'node:path'
import { namespaceUnavailable, openNamespace } from '../../test/helpers/namespace.ts'
import { scrubbedEnvironment } from '../../test/helpers/scrubbed.ts'
import type { Benchmark } from './benchmark.ts'
import { measureProcesses, timeout } from './processes.ts'
import { rootling } from './world.ts'

const browsers = `
set -eu
profile=$HOME/.mozilla/firefox/bench.default
mkdir -p "$profile" "$HOME/.local/share/pki/nssdb"
printf '[Profile0]\\nName=bench\\nIsRelative=1\\nPath=bench.default\\n' > "$HOME/.mozilla/firefox/profiles.ini"
certutil -N --empty-password -d "sql:$profile"
certutil -N --empty-password -d "sql:$HOME/.local/share/pki/nssdb"
`

/** Measures the wall time of `doctor` on a machine with two browsers and a JDK. */
export const doctor: Benchmark = {
  name: 'doctor',
  async run({ quick }) {
    const unavailable = namespaceUnavailable()
    if (unavailable !== null) {
      process.stderr.write(`doctor: skipped, ${unavailable}\n`)
      return []
    }
    const inside = await openNamespace({ publicRoots: 'all' })
    try {
      const env = scrubbedEnvironment(inside.home, { ROOTLING_HOME: join(inside.home, 'state') })
      const [program, script] = rootling
      await inside.must('sh', ['-c', browsers], { env, timeout })
      await inside.must(program, [script, 'install', '--yes'], { env, timeout })
      const issue = ['issue', 'localhost', '127.0.0.1', '--out-dir', inside.home]
      await inside.must(program, [script, ...issue], { env, timeout })
      const command = (name: string) => ({ argv: [...rootling, name], cwd: '/', env })
      const cost = await measureProcesses(
        { doctor: command('doctor'), status: command('status') },
        quick ? 2 : 20,
        (each, args, input) => inside.run(each, args, { input, timeout }),
      )
      return [
        {
          name: 'doctor',
          unit: 'ms',
          ours: cost.doctor.wall,
          peer: null,
          bar: { at: 'most', value: 1_000 },
        },
        {
          // On a machine that is busy, this tells more than the time on the clock.
          name: 'doctor, CPU',
          unit: 'ms',
          ours: cost.doctor.cpu,
          peer: { name: 'rootling status', value: cost.status.cpu },
          bar: { at: 'most', value: 1.5 },
        },
      ]
    } finally {
      await inside.close()
    }
  },
}
