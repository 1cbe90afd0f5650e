import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import Module from 'node:module'
import { basename, dirname, join } from 'node:path'
import type { Script } from 'node:vm'

// `rootling --version` loads every import of this file, so other modules are loaded only when they
// are needed.

/**
 * Keeps the code that V8 compiled from the bundles in a directory beside them, which saves a
 * seventh of a command's time. Whoever can change that directory can change the bundles too. Only
 * the owner of the bundles writes or reads the code. Where it cannot be kept, every command
 * compiles anew; the single executable has no such directory, and its code in itself.
 */
export function keepCompiledCode(bundles: string): void {
  const mine = process.geteuid?.() ?? null
  const found = statSync(bundles, { throwIfNoEntry: false })
  if (found === undefined || (mine !== null && found.uid !== mine)) return
  const directory = join(bundles, 'compiled')
  // Node has this function from 22.1 on.
  if ('enableCompileCache' in Module) {
    closeToOthers(directory)
    ;(Module.enableCompileCache as (path: string) => void)(directory)
  } else hookCompilation(bundles, directory, mine)
}

/**
 * Creates the directory so that only its owner can use it. Node would create it with the rights of
 * the umask, and Node runs the code that it finds there.
 */
function closeToOthers(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  } catch {
    // In a read-only installation no code is kept.
  }
}

/**
 * The shortest source, in UTF-16 units, whose compiled code is kept. Shorter ones compile faster
 * than their compiled code is read.
 */
const worthwhile = 4096

interface Compiled {
  readonly path: string
  readonly source: string
  readonly script: Script
}

type Compile = (this: NodeModule, source: string, filename: string) => unknown

/**
 * Replaces `Module.prototype._compile` of Node 20 by a function that uses cached code, which Node's
 * own does not.
 */
function hookCompilation(bundles: string, directory: string, owner: number | null): void {
  // V8 rejects code that was compiled under other flags. A process with flags, such as the daemon,
  // and one without would keep replacing each other's code.
  if (process.execArgv.length > 0) return
  const { constants, Script } = process.getBuiltinModule('node:vm')
  const fresh: Compiled[] = []
  const prototype = Module.prototype as unknown as { _compile: Compile }
  const compileWithoutCache = prototype._compile
  prototype._compile = function (source, filename) {
    if (dirname(filename) !== bundles || source.length < worthwhile)
      return compileWithoutCache.call(this, source, filename)
    const path = join(directory, `${basename(filename)}-${process.version}-${process.arch}`)
    const cachedData = readCompiled(path, source, owner)
    const script = new Script(Module.wrap(source), {
      filename,
      ...(cachedData === null ? {} : { cachedData }),
      importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    })
    if (cachedData === null || script.cachedDataRejected === true)
      fresh.push({ path, source, script })
    const run = script.runInThisContext() as (...args: unknown[]) => unknown
    // The bundles only call `require` and use none of its members.
    return run.call(this.exports, this.exports, this.require.bind(this), this, filename, bundles)
  }
  // The code is written when the process ends, so that it includes the functions that were compiled
  // while the command ran.
  process.on('exit', () => {
    try {
      if (fresh.length > 0) mkdirSync(directory, { recursive: true, mode: 0o755 })
      for (const compiled of fresh) writeCompiled(compiled)
    } catch {
      // The installation is read-only, or the disk full. The next command compiles anew.
    }
  })
}

/**
 * Returns the SHA-256 of the source and the compiled code. Both are hashed because V8 checks only
 * the length of the source and trusts the code.
 */
function digest(source: string, code: Buffer): Buffer {
  const { createHash } = process.getBuiltinModule('node:crypto')
  return createHash('sha256').update(source).update(code).digest()
}

const digestBytes = 32

/**
 * Reads the compiled code of a source; `null`: there is none, or it is damaged, compiled from
 * another source, or owned by another user.
 */
function readCompiled(path: string, source: string, owner: number | null): Buffer | null {
  try {
    const file = openSync(path, 'r')
    try {
      if (owner !== null && fstatSync(file).uid !== owner) return null
      const bytes = readFileSync(file)
      const code = bytes.subarray(digestBytes)
      return digest(source, code).equals(bytes.subarray(0, digestBytes)) ? code : null
    } finally {
      closeSync(file)
    }
  } catch {
    return null
  }
}

function writeCompiled({ path, source, script }: Compiled): void {
  const code = script.createCachedData()
  const temporary = `${path}.${process.pid}`
  writeFileSync(temporary, Buffer.concat([digest(source, code), code]), { mode: 0o644, flag: 'wx' })
  renameSync(temporary, path)
}
