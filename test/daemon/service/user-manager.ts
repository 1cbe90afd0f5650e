import { accessSync, constants, existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { Namespace } from '../../helpers/namespace.ts'
import { waitFor } from '../../helpers/subprocess.ts'

const systemd = '/lib/systemd/systemd'

/** This process's places in the hierarchies that systemd itself works with. */
function ownCgroups(): string[] {
  const unified = existsSync('/sys/fs/cgroup/cgroup.procs') ? '' : 'unified'
  return readFileSync('/proc/self/cgroup', 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, controllers, path = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
      if (controllers === '') return join('/sys/fs/cgroup', unified, path)
      return controllers === 'name=systemd' ? join('/sys/fs/cgroup/systemd', path) : []
    })
}

/** Returns why no systemd user manager can be started here; `null`: it can. */
export function managerUnavailable(): string | null {
  if (!existsSync(systemd)) return 'systemd is not installed'
  try {
    const places = ownCgroups()
    for (const place of places) accessSync(place, constants.W_OK)
    return places.length === 0 ? 'no cgroups here' : null
  } catch {
    return 'the cgroups cannot be written'
  }
}

function removeTree(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true }))
    if (entry.isDirectory()) removeTree(join(directory, entry.name))
  rmdirSync(directory)
}

/**
 * Starts root's user manager in a namespace, which has a /run of its own, and closes the namespace
 * when the test ends. The manager's cgroups are its own: it moves every process of its cgroup about.
 */
export async function startManager(
  namespace: Namespace,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const cgroups = ownCgroups().map((place) => join(place, `rootling-test-${process.pid}`))
  const script = `
    set -eu
    for cgroup; do mkdir "$cgroup"; echo $$ > "$cgroup/cgroup.procs"; done
    exec ${systemd} --user`
  namespace.spawn('sh', ['-c', script, 'sh', ...cgroups], { env })
  onTestFinished(async () => {
    await namespace.close()
    await waitFor('the end of the manager', () => {
      try {
        for (const cgroup of cgroups) if (existsSync(cgroup)) removeTree(cgroup)
        return true
      } catch {
        return null
      }
    })
  })
  await waitFor('the manager', async () => {
    const { stdout } = await namespace.run('systemctl', ['--user', 'is-system-running'], { env })
    return /running|degraded/.test(stdout) ? true : null
  })
}
