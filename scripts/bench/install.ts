import { join } from 'node:path'
import { namespaceUnavailable, openNamespace } from '../../test/helpers/namespace.ts'
import { scrubbedEnvironment } from '../../test/helpers/scrubbed.ts'
import type { Benchmark } from './benchmark.ts'
import { measureProcesses, timeout, type Command } from './processes.ts'
import { rootling } from './world.ts'

// The commands that a person would type for the same stores, in the order in which `install`
// changes them.
const byHand = `
set -eu
cp "$1" /usr/local/share/ca-certificates/bench.crt
update-ca-certificates
mkdir -p "$HOME/.local/share/pki/nssdb"
certutil -N --empty-password -d "sql:$HOME/.local/share/pki/nssdb"
certutil -A -d "sql:$HOME/.local/share/pki/nssdb" -t C,, -n bench -i "$1"
keytool -list -rfc -keystore /etc/ssl/certs/java/cacerts -storepass changeit
`
const undo = `
rm -f /usr/local/share/ca-certificates/*.crt
update-ca-certificates --fresh
rm -rf "$HOME/.local/share/pki" "$HOME/.pki"
`

/** Measures the wall time of `install` on this machine's stores, in a private mount namespace. */
export const install: Benchmark = {
  name: 'install',
  async run({ quick }) {
    const unavailable = namespaceUnavailable()
    if (unavailable !== null) {
      process.stderr.write(`install: skipped, ${unavailable}\n`)
      return []
    }
    const inside = await openNamespace()
    try {
      const state = join(inside.home, 'state')
      const env = scrubbedEnvironment(inside.home, { ROOTLING_HOME: state })
      const command = (argv: readonly string[]): Command => ({ argv, cwd: '/', env })
      const own = command([...rootling, 'install', '--yes'])
      const root = join(state, 'scopes/local/root.pem')
      const measure = <Name extends string>(
        commands: Readonly<Record<Name, Command>>,
        rounds: number,
      ) =>
        measureProcesses(commands, rounds, (program, args, input) =>
          inside.run(program, args, { input, timeout }),
        )
      await inside.must(rootling[0], [rootling[1], 'install', '--yes'], { env, timeout })
      const clean = command(['sh', '-c', undo])
      const cost = await measure(
        {
          before: clean,
          ours: own,
          after: clean,
          tools: command(['sh', '-c', byHand, 'sh', root]),
        },
        quick ? 1 : 7,
      )
      await measure({ clean, own }, 1)
      const second = await measure(
        { again: own, node: command([process.execPath, '-e', '0']) },
        quick ? 2 : 20,
      )
      return [
        {
          name: 'install',
          unit: 'ms',
          ours: cost.ours.wall,
          peer: { name: 'its tools alone', value: cost.tools.wall },
          bar: { at: 'most', value: 1.3 },
        },
        {
          name: 'second install, over node -e 0',
          unit: 'ms',
          ours: second.again.wall - second.node.wall,
          peer: null,
          bar: { at: 'most', value: 150 },
        },
      ]
    } finally {
      await inside.close()
    }
  },
}
