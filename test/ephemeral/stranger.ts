import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ensureBuilt, project } from '../helpers/built.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

/**
 * Makes the directory of a stranger's project, in which Rootling, as it was built, and other
 * packages of npm are installed, by links.
 */
export async function strangersProject(packages: readonly string[] = []): Promise<string> {
  ensureBuilt()
  const directory = await temporaryDirectory()
  await writeFile(join(directory, 'package.json'), '{ "private": true }\n')
  const link = async (name: string, target: string): Promise<void> => {
    const path = join(directory, 'node_modules', name)
    await mkdir(dirname(path), { recursive: true })
    await symlink(target, path, 'junction')
  }
  await link('rootling', project)
  for (const name of packages) await link(name, join(project, 'node_modules', name))
  return directory
}
