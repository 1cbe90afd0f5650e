import { createHash } from 'node:crypto'
import { access, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { project } from './built.ts'
import { runTool } from './tools.ts'

/**
 * Compiles a Java program of one file with the JDK of `java`, the path of a JDK's `java`, and keeps
 * the classes for the next time. Returns the arguments with which `java` starts the program.
 */
export async function buildJava(source: string, java: string): Promise<string[]> {
  const hash = createHash('sha256')
    .update(await readFile(source))
    .update(java)
    .digest('hex')
  const cache = join(project, 'node_modules/.cache/rootling-java')
  const classes = join(cache, hash)
  const built = await access(classes).then(
    () => true,
    () => false,
  )
  if (!built) {
    await mkdir(cache, { recursive: true })
    const own = await mkdtemp(join(cache, 'new-'))
    const compiled = await runTool(join(dirname(java), 'javac'), ['-d', own, source])
    if (compiled.exitCode !== 0) throw new Error(`javac ${source}: ${compiled.stderr}`)
    // Another process may have compiled it meanwhile.
    await rename(own, classes).catch(() => rm(own, { recursive: true, force: true }))
  }
  const flags = ['-Xshare:auto', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC']
  return [...flags, '-cp', classes, basename(source, '.java')]
}
