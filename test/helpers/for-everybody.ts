import { dirname } from 'node:path'
import { ensureBuilt, project } from './built.ts'
import type { Namespace } from './namespace.ts'

/**
 * Mounts the built command where every user of a namespace can run it, and opens TMPDIR to all
 * users: the project and Node may be in directories that only their owner can enter. Returns the
 * program and the script to run.
 */
export async function commandForEverybody(
  namespace: Namespace,
): Promise<readonly [node: string, script: string]> {
  ensureBuilt()
  const scratch = dirname(namespace.home)
  const script = `
    set -eu
    scratch=$1; project=$2; node=$3
    chmod 1777 "$scratch/tmp"
    mkdir "$scratch/app"
    mount --bind "$project" "$scratch/app"
    touch "$scratch/node"
    mount --bind "$node" "$scratch/node"`
  await namespace.must('sh', ['-c', script, 'sh', scratch, project, process.execPath])
  return [`${scratch}/node`, `${scratch}/app/dist/cli/rootling.cjs`]
}
