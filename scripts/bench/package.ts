import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Benchmark } from './benchmark.ts'

/**
 * Measures what `npm install rootling` installs: the number of packages, and their size on the
 * disk.
 */
export const packageSize: Benchmark = {
  name: 'package',
  async run() {
    const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
      packages: Record<string, { dev?: boolean }>
    }
    const installed = Object.entries(lock.packages).filter(
      ([path, { dev }]) => path !== '' && dev !== true,
    )
    const own = JSON.parse(
      execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }),
    ) as [{ unpackedSize: number }]
    const theirs = installed.reduce((sum, [path]) => sum + sizeOf(path), 0)
    return [
      { name: 'packages that it brings', unit: '', ours: installed.length, peer: null, bar: null },
      {
        name: 'installed size, with them',
        unit: 'KiB',
        ours: (own[0].unpackedSize + theirs) / 1024,
        peer: null,
        bar: null,
      },
    ]
  },
}

/**
 * Returns the bytes in a package's files. Packages nested inside it are left out, because the lock
 * file lists them too.
 */
function sizeOf(path: string): number {
  let sum = 0
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.name === 'node_modules') continue
    const inner = join(path, entry.name)
    sum += entry.isDirectory() ? sizeOf(inner) : statSync(inner).size
  }
  return sum
}
