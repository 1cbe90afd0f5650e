// `npm run bench`: measures Rootling and its peers in turn, and prints ratios of medians.
//   --quick         a short form, of less than a minute
//   --only TEXT     only the benchmarks whose name contains it
//   --json          JSON instead of the table
//   --check         exit code 1 where a bar is missed
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { rolldown } from 'rolldown'
import { installPackages, packagesOfBenchmarks } from '../packages.mjs'
import { prepare, root, scrubbedEnvironment } from '../prepare.mjs'

// Standard output is only for the result, so messages go to standard error.
console.log = console.error
installPackages(packagesOfBenchmarks)
prepare()
const directory = join(root, 'node_modules/.rootling-bench')
const bundle = await rolldown({
  input: join(root, 'scripts/bench/bench.ts'),
  platform: 'node',
  external: [/^node:/, 'fs-native-extensions', /^node-forge/, 'env-paths', 'pg', 'selfsigned'],
  logLevel: 'warn',
})
await bundle.write({ dir: directory, format: 'esm', entryFileNames: 'bench.mjs' })
await bundle.close()
const command = [process.execPath, join(directory, 'bench.mjs'), ...process.argv.slice(2)]
// For root, the benchmarks run in a network namespace, in which port 80 is free and no other
// program uses the loopback.
const isolated = ['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh']
const [program, ...args] = process.getuid?.() === 0 ? [...isolated, ...command] : command
const child = spawn(program, args, { cwd: root, env: scrubbedEnvironment(), stdio: 'inherit' })
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
const [code] = await once(child, 'exit')
rmSync(directory, { recursive: true, force: true })
process.exit(code ?? 1)
