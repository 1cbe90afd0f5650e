import { statSync } from 'node:fs'
import { readlink } from 'node:fs/promises'
import path from 'node:path'
import { isFullPath } from '../../src/full-path.ts'
import { exists, isFile, namesIn, realPathOf } from '../file-status.ts'
import type { JavaKeystore } from './keystore.ts'
import type { Machine } from '../machine.ts'

/**
 * Directories with one Java installation in each subdirectory, of every system; only those with a
 * full path of this system count.
 */
const systemCollections = [
  '/usr/lib/jvm',
  '/usr/java',
  '/usr/local/java',
  '/opt',
  '/opt/java',
  '/Library/Java/JavaVirtualMachines',
  'C:/Program Files/Java',
  'C:/Program Files/Eclipse Adoptium',
  'C:/Program Files/Microsoft',
  'C:/Program Files/Amazon Corretto',
  'C:/Program Files/Zulu',
]
/** Those of SDKMAN!, IntelliJ, asdf, mise, Gradle, jbang, jenv and Maven, and of macOS. */
const personalCollections = [
  '.sdkman/candidates/java',
  '.jdks',
  '.asdf/installs/java',
  '.local/share/mise/installs/java',
  '.gradle/jdks',
  '.jbang/cache/jdks',
  '.jenv/versions',
  '.m2/jdks',
  'Library/Java/JavaVirtualMachines',
]

/** The paths of the keystore in a modern Java, and in a JDK 8, which holds a JRE. */
const keystorePaths = ['lib/security/cacerts', 'jre/lib/security/cacerts']

/**
 * Returns every Java keystore on this machine, each once: several installations can link to the
 * same file.
 */
export async function findJavaKeystores(machine: Machine): Promise<JavaKeystore[]> {
  const keystores = new Map<string, JavaKeystore>()
  for (const home of await findHomes(machine)) {
    for (const inner of keystorePaths) {
      const file = await realPathOf(path.join(home, inner))
      if (file === null || !(await isFile(file))) continue
      const known = keystores.get(file)
      if (known !== undefined && known.keytool !== null) continue
      const keytool = await machine.find(path.join(home, 'bin/keytool'))
      keystores.set(file, { file, keytool, title: known?.title ?? `Java (${file})` })
    }
  }
  // Any keytool that root may run can write a keystore that root owns.
  const shared = await machine.find('keytool', { forRoot: true })
  return Promise.all(
    [...keystores.values()].map(async (keystore) => {
      const isRoots = statSync(keystore.file).uid === 0
      const own = await machine.find(keystore.keytool ?? '', { forRoot: isRoots })
      return { ...keystore, keytool: own ?? shared }
    }),
  )
}

/** Returns why this machine has no Java keystore, in one sentence. */
export async function whyNoKeystore(machine: Machine): Promise<string> {
  for (const home of await findHomes(machine))
    for (const inner of keystorePaths) {
      const file = path.join(home, inner)
      const target = await readlink(file).catch(() => null)
      if (target !== null && !(await exists(file)))
        return `${file} is a link to ${target}, which is not there.`
    }
  const java = await machine.find('java')
  // A version manager puts a script of its own there. Every macOS has a program of this name, which only
  // says where to get a Java.
  const isNone = java === null || (process.platform === 'darwin' && java === '/usr/bin/java')
  return isNone
    ? 'No Java is on this machine.'
    : `No keystore is where ${java} leads. JAVA_HOME names a Java.`
}

/**
 * Returns the home directories of the Java installations: JAVA_HOME, the one of `java` on PATH, and
 * the usual collections.
 */
async function findHomes(machine: Machine): Promise<string[]> {
  const homes: string[] = []
  const javaHome = machine.env['JAVA_HOME']
  if (javaHome !== undefined && isFullPath(javaHome)) homes.push(javaHome)
  const java = await machine.find('java')
  const program = java === null ? null : await realPathOf(java)
  if (program !== null) homes.push(path.dirname(path.dirname(program)))
  for (const collection of javaCollections(machine.person.home)) {
    const names = await namesIn(collection)
    // On macOS the home of a Java is inside its bundle; those of JetBrains and Google bring one.
    const inner = ['', 'Contents/Home', 'jbr']
    homes.push(...names.flatMap((name) => inner.map((each) => path.join(collection, name, each))))
  }
  return homes
}

/** Returns the directories in which Java installations are looked for, given the person's home. */
export function javaCollections(
  home: string,
  system: NodeJS.Platform = process.platform,
): string[] {
  const personal = personalCollections.map((each) => path.join(home, each))
  return [...systemCollections, ...personal].filter((each) => isFullPath(each, system))
}
