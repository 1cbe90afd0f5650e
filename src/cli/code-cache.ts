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

// What this file loads, `--version` loads too: the rest is fetched when it is needed.

/**
 * Keeps V8's compiled code of the bundles beside them, where whoever could spoil it could spoil
 * the bundles themselves; only their owner writes or reads it. Saves a seventh of a command's
 * time. Where it cannot be kept, everything is compiled as ever.
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

/** Node makes its directories as the umask has it, and runs what it finds in them. */
function closeToOthers(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  } catch {
    // A read-only installation: nothing is kept there.
  }
}

/** What is shorter is compiled sooner than it would be read; in UTF-16 units. */
const worthwhile = 4096

interface Compiled {
  readonly path: string
  readonly source: string
  readonly script: Script
}

type Compile = (this: NodeModule, source: string, filename: string) => unknown

/** As Node's own `Module.prototype._compile` does it on Node 20, which takes no cached code. */
function hookCompilation(bundles: string, directory: string, owner: number | null): void {
  // V8 takes no code that was compiled under other flags, as the daemon's: each would replace the other's.
  if (process.execArgv.length > 0) return
  const { constants, Script } = process.getBuiltinModule('node:vm')
  const fresh: Compiled[] = []
  const prototype = Module.prototype as unknown as { _compile: Compile }
  const compileAsEver = prototype._compile
  prototype._compile = function (source, filename) {
    if (dirname(filename) !== bundles || source.length < worthwhile)
      return compileAsEver.call(this, source, filename)
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
    // The bundles ask nothing of `require` but to be called.
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

/** V8 compares no more than the length of the source and trusts the code; so both are hashed. */
function digest(source: string, code: Buffer): Buffer {
  const { createHash } = process.getBuiltinModule('node:crypto')
  return createHash('sha256').update(source).update(code).digest()
}

const digestBytes = 32

/** `null`: none that is whole, of this source and of its owner. */
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
