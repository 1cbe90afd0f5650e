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

// `--version` loads what this file imports, so the rest is loaded when it is needed.

/**
 * Keeps V8's compiled code of the bundles beside them, where anyone who could change it could
 * change the bundles themselves; only their owner writes or reads it. Saves a seventh of a
 * command's time. Where it cannot be kept, every command compiles anew.
 */
export function keepCompiledCode(bundles: string): void {
  const mine = process.geteuid?.() ?? null
  if (mine !== null && statSync(bundles, { throwIfNoEntry: false })?.uid !== mine) return
  const directory = join(bundles, 'compiled')
  // From Node 22.1 on.
  if ('enableCompileCache' in Module) {
    closeToOthers(directory)
    ;(Module.enableCompileCache as (path: string) => void)(directory)
  } else hookCompilation(bundles, directory, mine)
}

/** Made private here: Node would make it with the umask, and runs the code that it finds there. */
function closeToOthers(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  } catch {
    // A read-only installation: nothing is kept there.
  }
}

/** Shorter sources compile faster than their compiled code is read. In UTF-16 units. */
const worthwhile = 4096

interface Compiled {
  readonly path: string
  readonly source: string
  readonly script: Script
}

type Compile = (this: NodeModule, source: string, filename: string) => unknown

/** Replaces `Module.prototype._compile` of Node 20, which takes no cached code. */
function hookCompilation(bundles: string, directory: string, owner: number | null): void {
  // V8 rejects code compiled under other flags, such as the daemon's: they would take turns.
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
  // At the end, when the functions that the command needed have been compiled too.
  process.on('exit', () => {
    try {
      if (fresh.length > 0) mkdirSync(directory, { recursive: true, mode: 0o755 })
      for (const compiled of fresh) writeCompiled(compiled)
    } catch {
      // A read-only installation; a full disk. The next command compiles anew.
    }
  })
}

/** V8 checks only the length of the source and trusts the code, so both are hashed. */
function digest(source: string, code: Buffer): Buffer {
  const { createHash } = process.getBuiltinModule('node:crypto')
  return createHash('sha256').update(source).update(code).digest()
}

const digestBytes = 32

/** `null`: there is none, or it is damaged, of another source or of another owner. */
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
